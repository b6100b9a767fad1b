// What all kernels of a network share: numbers, and the arrays of one potential.
//
// The engine puts a description of the model in front of this file: Real, the widths, counts and offsets as constants.
// The same text is compiled for the GPU and, with tests/emulator in front of it, for the processor.

/// N numbers that are read and written at once.
template <int N>
struct alignas(N * sizeof(Real) < 16 ? N * sizeof(Real) : 16) Pack {
    Real v[N];
};

template <int N>
__device__ __forceinline__ Pack<N> load(const Real* from)
{
    return *reinterpret_cast<const Pack<N>*>(from);
}

template <int N>
__device__ __forceinline__ void store(Real* to, const Pack<N>& pack)
{
    *reinterpret_cast<Pack<N>*>(to) = pack;
}

/// An address of global memory that is kept, and not computed again from its parts wherever it is used.
template <class T>
__device__ __forceinline__ const T* kept(const T* address)
{
#ifdef __CUDACC__
    asm("" : "+l"(address));
    __builtin_assume(__isGlobal(address));
#endif
    return address;
}

/// Row `number` of a matrix whose rows are STRIDE apart.
template <int STRIDE, class T>
__device__ __forceinline__ const T* row_of(const T* matrix, unsigned number)
{
    return reinterpret_cast<const T*>(
        reinterpret_cast<const char*>(matrix) + number * static_cast<unsigned long long>(STRIDE * sizeof(T)));
}

/// What a block needs to know of one directed pair to evaluate its filter.
struct alignas(16) Edge {
    /// Row of the other atom's features.
    unsigned other;
    /// Interval of the table.
    unsigned interval;
    /// Position in the interval; the distance where filters are evaluated exactly.
    Real t;
};

/// What there is beside a `Meeting` of kernels/bands.cuh.
struct alignas(16) Bend {
    /// Derivative of the filter's envelope.
    Real df;
    /// The envelope of the basis, and its derivative.
    Real basis_f;
    Real basis_df;
    Real unused;
};

/// What takes a derivative by t to one by positions.
struct alignas(16) Arm {
    /// From the row's atom to the other, times dt/dr / r.
    Real direction[3];
    /// r / (dt/dr): what makes it the vector between the atoms again.
    Real inverse;
};

/// A pair in a tile; kernels/spans.cuh has it. And near pairs, of kernels/near.cu.
struct Slot;
struct NearPair;
struct NearRun;

/// The arrays of a potential; mirrored by `System` in src/engine/cuda/system.rs.
///
/// Rows are atoms that have features: owned ones, and ghosts that an exchange fills. Matrices are row-major; rows of
/// features and filters are FEATURE_STRIDE and FILTER_STRIDE apart, and what is between is zero.
struct System {
    /// atoms × 3
    const double* positions;
    /// Row of the embedding of each row.
    const unsigned* types;
    /// Structure of each row.
    const unsigned* structure;
    /// Owned atoms of structure k are structures[k] .. structures[k + 1].
    const unsigned* structures;
    /// structures × 3 × 3, lattice vectors as rows; null without shifts.
    const double* cells;
    /// Candidates of row i are starts[i] .. starts[i + 1]; without a list, there is only room for the row's pairs.
    const unsigned long long* starts;
    /// The atom at the other end; null without a list, where all others of the structure are looked at.
    const unsigned* candidates;
    /// Lattice steps to it, 3 a candidate; null if there are none.
    const int* shifts;
    /// The row that has each atom's features; null if that is the atom's own.
    const unsigned* owners;
    const Real* weights;
    const Real* tables;
    /// What undoes the scales of weights for tensor cores: two a block for filter networks there, then those of dense layers.
    const Real* scales;
    /// Weights for tensor cores, in the same order: a lane's parts of 16 × 16 of them at once.
    const uint4* fragments;
    /// Coefficients of spans, a lane's next to each other: as sums over pairs take them, and as slopes do; and what undoes their scale,
    /// one number a block.
    const uint4* span_filters;
    const uint4* span_factors;
    const float* span_scales;
    const double* basis;
    /// Energy of each type.
    const double* references;
    /// Pairs within the cutoff of each row; they lie from starts[i] on.
    unsigned* counts;
    /// Where the pairs of each of a row's spans begin, which come after all others, and the last one's end: SPANS + 1 numbers a row.
    unsigned* spans;
    /// The pairs of spans in tiles of 16; a row's lie from starts[i] + i · SPANS · 15 on.
    Slot* slots;
    /// dE/dt of distant pairs, each direction by itself, and of near ones in two parts: SPAN_SLICES matrices of `held` numbers a row.
    float* slopes;
    /// Near pairs of structures with spans, each once, those of structure k from half its first row's start on; in no order yet; and
    /// NEAR_RUNS runs a structure.
    NearPair* near;
    NearPair* near_draft;
    NearRun* near_runs;
    Edge* edges;
    Arm* arms;
    /// With pairs in both directions at once (kernels/mutual.cu), what else there is of a pair; where the pairs of a row with
    /// each band end, bands × rows; and what blocks have of forces and virials, parts × rows × 3 or 9.
    Bend* bends;
    unsigned* ends;
    double* pulls;
    /// Features, and dE/dx: owned rows.
    Real* x;
    Real* gradient;
    /// in2f · x of every block.
    Real* y;
    /// f2out · m + bias of every block, owned rows.
    Real* z;
    /// Messages, and on the way back dE/dy: SUM_PARTS matrices that are to be added up.
    Real* m;
    /// dE/dm; zero for ghosts unless an exchange fills them.
    Real* g;
    double* atom_energies;
    /// FORCE_SLICES × rows × 3; the sum is left in the first.
    double* forces;
    /// FORCE_SLICES × rows × 6: xx xy xz yy yz zz; likewise. Null if not wanted.
    double* virials;
    /// structures, and structures × 6.
    double* energies;
    double* structure_virials;
    /// Two atoms at one point, as receiver · 2³² + other, or all ones, as it is before a step.
    unsigned long long* coincident;
    unsigned rows;
    unsigned owned;
    /// Larger structures than this have no distant pairs: kernels/spans.cu has shared memory for as many rows.
    unsigned held;
    /// Rows of features and of sums that kernels/near.cu has shared memory for.
    unsigned near_rows;
    /// The most bands of a structure, and blocks that share the pairs of two of them.
    unsigned bands;
    unsigned splits;
};

/// act(z) and its derivative.
template <int KIND>
__device__ __forceinline__ void activation(Real z, Real& value, Real& slope)
{
    const Real one = 1;
    if constexpr (KIND == TANH) {
        value = tanh(z);
        slope = one - value * value;
    } else {
        // From e^{−|z|}, so that nothing overflows.
        const Real e = exp(z > 0 ? -z : z);
        const Real inverse = one / (one + e);
        const Real sigmoid = z > 0 ? inverse : e * inverse;
        if constexpr (KIND == SHIFTED_SOFTPLUS) {
            value = (z > 0 ? z : Real(0)) + log1p(e) - Real(0.69314718055994530942);
            slope = sigmoid;
        } else {
            value = z * sigmoid;
            slope = sigmoid * (one + z * (one - sigmoid));
        }
    }
}

/// 1, or one over the number of a row's pairs where messages are averaged.
__device__ __forceinline__ Real message_weight(const System& s, unsigned row)
{
    if constexpr (MEAN_MESSAGES) {
        const unsigned count = s.counts[row];
        return Real(1) / Real(count > 0 ? count : 1);
    } else {
        return Real(1);
    }
}

/// An affine map of the model: its widths, and where its numbers lie in the weights.
template <int INPUTS_, int OUTPUTS_, int WEIGHT_, int TRANSPOSED_, int BIAS_>
struct Affine {
    static constexpr int INPUTS = INPUTS_;
    static constexpr int OUTPUTS = OUTPUTS_;
    /// Row k has what input k adds to every output; rows are padded, and there is a multiple of 4 of them.
    static constexpr int WEIGHT = WEIGHT_;
    /// Row k has what output k's gradient adds to every input's.
    static constexpr int TRANSPOSED = TRANSPOSED_;
    /// Padded; negative if there is none.
    static constexpr int BIAS = BIAS_;
};
