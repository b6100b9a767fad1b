// Replicas that move: the parts of a step of Langevin dynamics (BAOAB) or velocity Verlet before the new forces, and after them.
//
// The splitting and the use of random numbers are those of src/dynamics, which explains them.

/// What a simulation is; mirrored by `MotionSystem` in src/engine/cuda/motion_system.rs.
struct System {
    /// atoms × 3; moved.
    double* positions;
    double* velocities;
    /// Forces at the positions; those that a step leaves, of the network in arrays that are to be added up, one behind the other, and
    /// of the terms, null without any.
    double* forces;
    const double* new_forces;
    const double* term_forces;
    /// Acceleration by a unit of force, one an atom.
    const double* response;
    /// Structure of each atom, and the first atom of each structure.
    const unsigned* structure;
    const unsigned* structures;
    /// Of each structure: thermal energy, stream of random numbers, whether it stands still.
    const double* thermal;
    const unsigned* streams;
    const unsigned char* frozen;
    /// Energies of atoms as a step leaves them, of network and terms likewise.
    const double* atom_energies;
    const double* term_energies;
    /// The coincident pair's number as a step leaves it; all ones before the next.
    unsigned long long* coincident;
    /// Steps made, and the blocks that are done with that number.
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
    /// Arrays of new forces.
    unsigned slices;
    unsigned unused;
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

/// An atom's noise at a step, if there is any.
__device__ __forceinline__ void noise(
    const System& s, unsigned structure, unsigned long long step, unsigned atom, double (&z)[3])
{
    if (s.langevin != 0) {
        normals(s, s.streams[structure], step, atom - s.structures[structure], z);
    }
}

/// Whether an atom moves: not in a replica that stands still, and nothing does after something has gone wrong.
__device__ __forceinline__ bool moves(const System& s, unsigned atom)
{
    return atom < s.atoms && s.frozen[s.structure[atom]] == 0 && s.status->trouble == NOTHING;
}

/// An atom on its way through a step.
struct Atom {
    unsigned number;
    unsigned structure;
    double response;
    double x[3];
    double v[3];
    double force[3];

    __device__ __forceinline__ Atom(const System& s, unsigned number)
        : number(number), structure(s.structure[number]), response(s.response[number])
    {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            x[axis] = s.positions[3ull * number + axis];
            v[axis] = s.velocities[3ull * number + axis];
            force[axis] = s.forces[3ull * number + axis];
        }
    }

    /// B, A, O and A, or B and A, with the noise of a step.
    __device__ __forceinline__ void leap(const System& s, const double (&z)[3])
    {
        const double half = 0.5 * s.timestep;
        const double size = s.fresh * sqrt(s.thermal[structure] * response);
        double moved = 0.0;
        bool sound = true;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const double before = x[axis];
            v[axis] += half * response * force[axis];
            if (s.langevin != 0) {
                x[axis] += half * v[axis];
                v[axis] = s.kept * v[axis] + size * z[axis];
                x[axis] += half * v[axis];
            } else {
                x[axis] += s.timestep * v[axis];
            }
            s.positions[3ull * number + axis] = x[axis];
            moved += (x[axis] - before) * (x[axis] - before);
            sound = sound && fabs(x[axis]) <= LARGEST;
        }
        // Written so that what is not a number counts.
        if (!(moved <= s.farthest2)) {
            report(s.status, FARTHEST, number);
        }
        if (!sound) {
            report(s.status, POSITION, number);
        }
    }

    /// B with the new forces, which are checked, as is the energy; whether they are sound.
    __device__ __forceinline__ bool kick(const System& s)
    {
        double energy = s.atom_energies[number];
        if (s.term_energies != nullptr) {
            energy += s.term_energies[number];
        }
        bool sound = fabs(energy) <= 1.7976931348623157e308;
        const double time = 0.5 * s.timestep * response;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const unsigned long long at = 3ull * number + axis;
            force[axis] = sum_of(s.new_forces + at, 3ull * s.atoms, s.slices);
            if (s.term_forces != nullptr) {
                force[axis] += s.term_forces[at];
            }
            sound = sound && fabs(force[axis]) <= 1.7976931348623157e308;
            s.forces[at] = force[axis];
            v[axis] += time * force[axis];
        }
        if (!sound) {
            report(s.status, RESULT, number);
        }
        return sound;
    }

    __device__ __forceinline__ void keep_velocity(const System& s) const
    {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            s.velocities[3ull * number + axis] = v[axis];
        }
    }
};

/// Reports two atoms at one point.
__device__ __forceinline__ void report_coincident(const System& s)
{
    const unsigned long long coincident = *s.coincident;
    if (coincident != NOTHING) {
        report(s.status, COINCIDENT, (coincident >> 32 << 28) | (coincident & 0xfffffffull));
    }
}

/// What comes before the new forces, a thread an atom.
KERNEL(leap, MOTION_THREADS, 1)
{
    const unsigned atom = blockIdx.x * blockDim.x + threadIdx.x;
    if (atom == 0) {
        *s.coincident = NOTHING;
    }
    if (moves(s, atom)) {
        Atom own(s, atom);
        double z[3] = {0.0, 0.0, 0.0};
        noise(s, own.structure, *s.clock, atom, z);
        own.leap(s, z);
        own.keep_velocity(s);
    }
}

/// What comes after them, a thread an atom.
KERNEL(kick, MOTION_THREADS, 1)
{
    const unsigned atom = blockIdx.x * blockDim.x + threadIdx.x;
    if (atom == 0) {
        report_coincident(s);
        ++*s.clock;
    }
    if (moves(s, atom)) {
        Atom own(s, atom);
        own.kick(s);
        own.keep_velocity(s);
    }
}

/// The end of a step and the beginning of the next, a thread an atom. Some atoms may move after another's forces were found wrong: what
/// comes of the steps is then of no use, and nobody looks at it.
KERNEL(hop, MOTION_THREADS, 1)
{
    const unsigned atom = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned long long step = *s.clock + 1;
    if (atom == 0) {
        report_coincident(s);
        *s.coincident = NOTHING;
    }
    if (moves(s, atom)) {
        Atom own(s, atom);
        double z[3] = {0.0, 0.0, 0.0};
        noise(s, own.structure, step, atom, z);
        if (own.kick(s)) {
            own.leap(s, z);
        }
        own.keep_velocity(s);
    }
    // The clock goes on when all have seen it.
    __syncthreads();
    if (threadIdx.x == 0 && atomicAdd(s.clock + 1, 1ull) + 1 == gridDim.x) {
        s.clock[1] = 0;
        s.clock[0] = step;
    }
}
