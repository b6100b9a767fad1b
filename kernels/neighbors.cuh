// What the kernels that find neighbours work on, and the cells that structures repeat in.

/// The bins of a structure, in coordinates along its periodic vectors and across them.
struct Grid {
    double low[3];
    double inverse[3];
    int dims[3];
    int unused;
};

/// A pair before its row is in order.
struct alignas(16) Found {
    unsigned other;
    int shift[3];
};

/// The arrays of a list; mirrored by `Arrays` in src/engine/cuda/list_system.rs.
struct System {
    /// atoms × 3
    const double* positions;
    /// Atoms of structure k are structures[k] .. structures[k + 1].
    const unsigned* structures;
    /// Structure of each atom.
    const unsigned* structure;
    /// structures × 3 × 3, vectors as rows; null if nothing repeats.
    const double* cells;
    /// structures × 3, zero for vectors along which nothing repeats; null if there are none of those.
    const unsigned char* periodic;
    /// Pairs of atoms that are left out, in one direction.
    const int* excluded;
    /// What the list was found for.
    double* kept_positions;
    unsigned* kept_structures;
    double* kept_cells;
    unsigned char* kept_periodic;
    int* kept_excluded;
    Grid* grids;
    /// Bin of each atom. A structure has no more bins than atoms, and they begin with the number of its first.
    unsigned* bin;
    /// Three arrays: atoms of each bin; excluded partners of each atom; candidates of each atom.
    unsigned* counts[3];
    /// Where each of those begins, and the end of the last.
    unsigned long long* starts[3];
    /// Sums over parts of each.
    unsigned long long* sums[3];
    /// Atoms, bin by bin.
    unsigned* members;
    /// Excluded partners, atom by atom.
    unsigned* partners;
    /// Pairs, atom by atom, in no order yet.
    Found* found;
    /// The list: pairs in ascending order of the other atom and then of the shift.
    unsigned* candidates;
    /// Lattice steps, 3 a pair; null if nothing repeats.
    int* shifts;
    Status* status;
    /// Pairs nearer than this are listed, which serve until an atom has moved by half the skin.
    double reach;
    double skin;
    /// Pairs there is room for.
    unsigned long long room;
    unsigned atoms;
    unsigned structure_count;
    unsigned excluded_count;
    /// Not zero: no bins, every atom of the structure is looked at.
    unsigned direct;

    // What follows is for hosts whose arrays are on the device.

    /// Theirs: structure_count + 1 first atoms, or null for one structure; types.
    const unsigned long long* given_offsets;
    const int* given_types;
    /// Type of each row of the embedding.
    const int* known;
    /// What becomes of them: the arrays above, and rows of the embedding.
    unsigned* own_structures;
    unsigned* own_structure;
    unsigned* own_types;
    /// Results of a step, as the kernels of the network leave them.
    const double* energies;
    const double* atom_energies;
    const double* forces;
    const double* structure_virials;
    const double* virials;
    /// Two atoms at one point; all ones before a step. Null where there is no network.
    unsigned long long* coincident;
    /// Energies of network and priors, `terms` a structure.
    const double* by_term;
    /// Of the terms alone, where they are still to be added; else null.
    const double* term_energies;
    const double* term_forces;
    /// Where the host wants them; null for what it does not want.
    double* to_energies;
    double* to_atom_energies;
    double* to_forces;
    double* to_virials;
    double* to_atom_virials;
    double* to_by_term;
    /// What results are where something went wrong.
    double not_a_number;
    unsigned known_count;
    unsigned terms;
    /// Arrays of forces that are still to be added up, one behind the other.
    unsigned slices;
    /// Not zero: no list is kept, and nobody else looks at positions.
    unsigned listless;
};

/// Of lattice steps, so that sums of some do not overflow.
constexpr double MOST_STEPS = 536870912.0;
/// The most periodic images of one structure, unless thirty-two an atom are more.
constexpr double MOST_IMAGES = 16777216.0;
constexpr unsigned long long MOST_PAIRS = 0xffffffffull;

__device__ __forceinline__ void report(const System& s, unsigned long long kind, unsigned long long number)
{
    report(s.status, kind, number);
}

/// Whether this step finds the list.
__device__ __forceinline__ bool finds(const System& s)
{
    return s.status->stale != 0 && s.status->trouble == NOTHING;
}

/// How a structure repeats.
struct Frame {
    double vectors[3][3];
    /// dual[c] · p is the coordinate of p along vector c, or along a unit vector across the periodic ones.
    double dual[3][3];
    /// The reach, in steps along a periodic vector; 0 along others.
    double steps[3];
    bool periodic[3];
    bool repeats;
    bool sound;
};

__device__ __forceinline__ double dot(const double (&a)[3], const double (&b)[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

__device__ __forceinline__ void cross(const double (&a)[3], const double (&b)[3], double (&c)[3])
{
    c[0] = a[1] * b[2] - a[2] * b[1];
    c[1] = a[2] * b[0] - a[0] * b[2];
    c[2] = a[0] * b[1] - a[1] * b[0];
}

__device__ __forceinline__ void normalise(double (&a)[3])
{
    const double inverse = 1.0 / sqrt(dot(a, a));
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        a[axis] *= inverse;
    }
}

/// Two unit vectors across `a` and each other.
__device__ __forceinline__ void across(const double (&a)[3], double (&b)[3], double (&c)[3])
{
    // The axis least along `a` leaves the largest product.
    const double x = fabs(a[0]);
    const double y = fabs(a[1]);
    const double z = fabs(a[2]);
    const double axis[3] = {x <= y && x <= z ? 1.0 : 0.0, y < x && y <= z ? 1.0 : 0.0, z < x && z < y ? 1.0 : 0.0};
    cross(a, axis, b);
    normalise(b);
    cross(a, b, c);
    normalise(c);
}

__device__ __forceinline__ Frame frame_of(const System& s, unsigned structure)
{
    Frame f;
    f.sound = true;
    int rank = 0;
    double unit[3][3];
    double length[3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        f.periodic[c] = s.cells != nullptr && (s.periodic == nullptr || s.periodic[3ull * structure + c] != 0);
        rank += f.periodic[c] ? 1 : 0;
        length[c] = 1.0;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            f.vectors[c][axis] = f.periodic[c] ? s.cells[9ull * structure + 3 * c + axis] : 0.0;
            unit[c][axis] = f.vectors[c][axis];
            f.sound = f.sound && fabs(f.vectors[c][axis]) <= LARGEST;
        }
        if (f.periodic[c]) {
            length[c] = sqrt(dot(unit[c], unit[c]));
            f.sound = f.sound && length[c] > 0.0;
            normalise(unit[c]);
        }
    }
    f.repeats = rank > 0;
    if (rank == 0) {
#pragma unroll
        for (int c = 0; c < 3; ++c) {
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                unit[c][axis] = c == axis ? 1.0 : 0.0;
            }
        }
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        if (rank == 1 && f.periodic[c]) {
            across(unit[c], unit[(c + 1) % 3], unit[(c + 2) % 3]);
        }
        if (rank == 2 && !f.periodic[c]) {
            cross(unit[(c + 1) % 3], unit[(c + 2) % 3], unit[c]);
            f.sound = f.sound && dot(unit[c], unit[c]) > 1.3e-29;
            normalise(unit[c]);
        }
    }
    double product[3];
    cross(unit[1], unit[2], product);
    const double volume = dot(unit[0], product);
    f.sound = f.sound && fabs(volume) > 4e-15;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        cross(unit[(c + 1) % 3], unit[(c + 2) % 3], f.dual[c]);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            f.dual[c][axis] /= volume * length[c];
        }
        f.steps[c] = f.periodic[c] ? s.reach * sqrt(dot(f.dual[c], f.dual[c])) : 0.0;
    }
    return f;
}
