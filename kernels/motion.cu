// Replicas that move: the parts of a step of Langevin dynamics (BAOAB) or velocity Verlet before the new forces, and after them.
//
// The splitting and the use of random numbers are those of src/dynamics, which explains them.

/// What a simulation is; mirrored by `MotionSystem` in src/engine/cuda/motion_system.rs.
struct System {
    /// atoms × 3; moved.
    double* positions;
    double* velocities;
    /// Forces at the positions; those of the network and the terms as a step leaves them.
    double* forces;
    const double* new_forces;
    /// Acceleration by a unit of force, one an atom.
    const double* response;
    /// Structure of each atom, and the first atom of each structure.
    const unsigned* structure;
    const unsigned* structures;
    /// Of each structure: thermal energy, stream of random numbers, whether it stands still.
    const double* thermal;
    const unsigned* streams;
    const unsigned char* frozen;
    /// Energies of atoms, and the coincident pair's number, as a step leaves them.
    const double* atom_energies;
    const unsigned long long* coincident;
    /// Steps made.
    unsigned long long* clock;
    Status* status;
    double timestep;
    /// e^(−γΔt) and √(1 − e^(−2γΔt)).
    double kept;
    double fresh;
    /// Square of the farthest that an atom may move in a step.
    double farthest2;
    unsigned seed[2];
    unsigned atoms;
    /// Not zero: friction and noise.
    unsigned langevin;
};

/// Ten rounds of Philox 4×32.
__device__ __forceinline__ void philox(unsigned (&counter)[4], unsigned first, unsigned second)
{
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned long long a = 0xd2511f53ull * counter[0];
        const unsigned long long b = 0xcd9e8d57ull * counter[2];
        const unsigned next[4] = {static_cast<unsigned>(b >> 32) ^ counter[1] ^ first, static_cast<unsigned>(b),
            static_cast<unsigned>(a >> 32) ^ counter[3] ^ second, static_cast<unsigned>(a)};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            counter[k] = next[k];
        }
        first += 0x9e3779b9u;
        second += 0xbb67ae85u;
    }
}

/// Three independent numbers of mean 0 and variance 1: an item's noise of a stream at a step.
__device__ __forceinline__ void normals(
    const System& s, unsigned stream, unsigned long long step, unsigned item, double (&z)[3])
{
    unsigned words[4] = {item, static_cast<unsigned>(step), static_cast<unsigned>(step >> 32) & 0xffffffu, stream};
    philox(words, s.seed[0], s.seed[1]);
    double u[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        u[k] = (words[k] + 0.5) * (1.0 / 4294967296.0);
    }
    const double first = sqrt(-2.0 * log(u[0]));
    double sine;
    double cosine;
    sincospi(2.0 * u[1], &sine, &cosine);
    z[0] = first * cosine;
    z[1] = first * sine;
    sincospi(2.0 * u[3], &sine, &cosine);
    z[2] = sqrt(-2.0 * log(u[2])) * cosine;
}

/// Whether an atom moves: not in a replica that stands still, and nothing does after something has gone wrong.
__device__ __forceinline__ bool moves(const System& s, unsigned atom)
{
    return atom < s.atoms && s.frozen[s.structure[atom]] == 0 && s.status->trouble == NOTHING;
}

/// B, A, O and A, or B and A, a thread an atom.
KERNEL(leap, MOTION_THREADS, 1)
{
    const unsigned atom = blockIdx.x * blockDim.x + threadIdx.x;
    if (!moves(s, atom)) {
        return;
    }
    const unsigned structure = s.structure[atom];
    const double response = s.response[atom];
    const double half = 0.5 * s.timestep;
    double z[3] = {0.0, 0.0, 0.0};
    if (s.langevin != 0) {
        normals(s, s.streams[structure], *s.clock, atom - s.structures[structure], z);
    }
    const double size = s.fresh * sqrt(s.thermal[structure] * response);
    double moved = 0.0;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const unsigned long long at = 3ull * atom + axis;
        const double before = s.positions[at];
        double v = s.velocities[at] + half * response * s.forces[at];
        double x = before;
        if (s.langevin != 0) {
            x += half * v;
            v = s.kept * v + size * z[axis];
            x += half * v;
        } else {
            x += s.timestep * v;
        }
        s.velocities[at] = v;
        s.positions[at] = x;
        moved += (x - before) * (x - before);
    }
    // Written so that what is not a number counts.
    if (!(moved <= s.farthest2)) {
        report(s.status, FARTHEST, atom);
    }
}

/// B with the new forces, which are checked, as are the energies; a thread an atom.
KERNEL(kick, MOTION_THREADS, 1)
{
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at == 0) {
        const unsigned long long coincident = *s.coincident;
        if (coincident != NOTHING) {
            report(s.status, COINCIDENT, (coincident >> 32 << 28) | (coincident & 0xfffffffull));
        }
        ++*s.clock;
    }
    if (moves(s, at)) {
        bool sound = fabs(s.atom_energies[at]) <= 1.7976931348623157e308;
        const double time = 0.5 * s.timestep * s.response[at];
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const double force = s.new_forces[3ull * at + axis];
            sound = sound && fabs(force) <= 1.7976931348623157e308;
            s.forces[3ull * at + axis] = force;
            s.velocities[3ull * at + axis] += time * force;
        }
        if (!sound) {
            report(s.status, RESULT, at);
        }
    }
}
