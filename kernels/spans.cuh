// What kernels of distant pairs share: how a block takes a structure, its features in shared memory, and pairs as they are taken.
//
// Filters of distant pairs are polynomials of degree 15 over a few wide spans of distance. A sum over the pairs of a span by any of
// them is one over the sums by its 16 Chebyshev polynomials, which are the same for all channels: what there is to do for a pair
// and channel is a product of two matrices, the polynomials of 16 pairs and their features. Those of a whole structure are in
// shared memory, every number as the sum of two float16 ones.

/// Channels of a block, and tiles of them.
constexpr int SPAN_STEPS = SPAN_WIDTH / TILE;
constexpr int SPAN_SLICES = FILTER_STRIDE / SPAN_WIDTH;
/// Polynomials of a span, 8 in each product.
constexpr int SPAN_TERMS = 16;
constexpr int SPAN_HALVES = SPAN_TERMS / 8;
/// A lane's coefficients of a tile of channels, and what those of a span take.
constexpr int SPAN_EACH = 8;
constexpr int SPAN_LOADS = SPAN_EACH / 4;
constexpr int SPAN_COEFFICIENTS = SPAN_STEPS * SPAN_LOADS * WARP;
/// Rows of a structure lie in shared memory by parts of 8 channels, of 16 bytes. Those of 8 rows that are loaded together are in different
/// banks if the rows differ in their number modulo this.
constexpr int SPAN_BANKS = 8;
constexpr int SPAN_ROW_BYTES = 2 * SPAN_WIDTH;

/// A pair in the order in which tiles are loaded.
struct alignas(8) Slot {
    /// Where it is in its span, from −1 to 1; 2 if there is no such pair, and then `other` is any row.
    float u;
    /// The other atom, counted in its structure.
    unsigned other;
};
constexpr float NO_PAIR = 2;

/// What a block works on: some rows of a structure, and a slice of their channels.
struct SpanWork {
    unsigned structure_first;
    unsigned rows;

    __device__ __forceinline__ explicit SpanWork(const System& s)
    {
        structure_first = s.structures[blockIdx.x];
        // A host may say what cannot be, which others report.
        const unsigned end = s.structures[blockIdx.x + 1];
        rows = end > structure_first && end <= s.rows ? end - structure_first : 0;
    }

    __device__ __forceinline__ static int slice() { return blockIdx.y % SPAN_SLICES; }

    /// A row in the structure that no warp has had yet, or one that there is not. Rows have unlike numbers of pairs: whoever is done takes
    /// the next one. `taken` is zero at first.
    __device__ __forceinline__ static unsigned next(unsigned* taken)
    {
        unsigned number = 0;
        if (lane_id() == 0) {
            number = atomicAdd(taken, 1u);
        }
        return __shfl_sync(FULL, number, 0) * (gridDim.y / SPAN_SLICES) + blockIdx.y / SPAN_SLICES;
    }
};

/// The distant pairs of a row, in tiles of 16, span by span.
struct SpanTiles {
    const Slot* slots;
    /// Where spans begin, and the last one's end, of which a lane has one.
    unsigned ends;

    __device__ __forceinline__ SpanTiles(const System& s, unsigned row)
        : slots(kept(s.slots + s.starts[row] + static_cast<unsigned long long>(row) * (SPANS * (TILE - 1)))),
          ends(s.spans[static_cast<unsigned long long>(row) * (SPANS + 1) + lane_id() % (SPANS + 1)])
    {
    }

    __device__ __forceinline__ unsigned begin(int span) const { return __shfl_sync(FULL, ends, span); }
    __device__ __forceinline__ unsigned pairs(int span) const { return begin(span + 1) - begin(span); }
    __device__ __forceinline__ unsigned count(int span) const { return (pairs(span) + TILE - 1) / TILE; }
};

/// Features of a structure's rows in shared memory: SPAN_WIDTH channels of each, all of them times a power of 2.
struct SpanFeatures {
    /// Where row 0 is, at a whole line of banks.
    Shared high;
    /// Bytes from there to what rounding left.
    unsigned rest;
    unsigned rows;
    /// What undoes the power.
    float down;

    /// Where part `part` of a row's first tile is.
    __device__ __forceinline__ Shared at(unsigned row, int part) const
    {
        // Others report a list that is another structure's; here nothing beside the rows is read.
        const unsigned some = row < rows ? row : 0;
        return high + some * SPAN_ROW_BYTES + (part ^ some % SPAN_BANKS) * 16;
    }

    /// Where the same part of another tile is, from that of the first.
    __device__ __forceinline__ static Shared tile(Shared first, int step)
    {
        // Parts of a line of banks are in the order that the row says.
        return (first ^ step % 4 * 32) + step / 4 * 128;
    }
};

/// Bytes in front of the features, behind the coefficients: a number of each warp, and in the end how many rows have been taken.
constexpr int SPAN_FRONT = 128;
static_assert(SPAN_THREADS / WARP * sizeof(float) < SPAN_FRONT, "warps have room for their numbers");
constexpr int SPAN_FRONT_AT = SPANS * SPAN_COEFFICIENTS * sizeof(uint4);

__device__ __forceinline__ unsigned* rows_taken(unsigned char* memory)
{
    return reinterpret_cast<unsigned*>(memory + SPAN_FRONT_AT + SPAN_FRONT) - 1;
}

/// Copies a block's coefficients to shared memory.
__device__ __forceinline__ const uint4* hold_coefficients(uint4* memory, const uint4* of_blocks, int block, int slice)
{
    const unsigned long long distinct = SHARED_BLOCKS ? 0 : block;
    const uint4* from = of_blocks + (distinct * SPAN_SLICES + slice) * (SPANS * SPAN_COEFFICIENTS);
    for (int at = threadIdx.x; at < SPANS * SPAN_COEFFICIENTS; at += blockDim.x) {
        memory[at] = from[at];
    }
    return memory;
}

/// A lane's coefficients of a tile of channels in the order in which they lie.
__device__ __forceinline__ void span_coefficients(const uint4* held, int span, int step, float (&numbers)[SPAN_EACH])
{
    const uint4* at = held + (span * SPAN_STEPS + step) * (SPAN_LOADS * WARP) + lane_id();
#pragma unroll
    for (int load = 0; load < SPAN_LOADS; ++load) {
        const uint4 four = at[load * WARP];
        numbers[4 * load] = __uint_as_float(four.x);
        numbers[4 * load + 1] = __uint_as_float(four.y);
        numbers[4 * load + 2] = __uint_as_float(four.z);
        numbers[4 * load + 3] = __uint_as_float(four.w);
    }
}

/// Copies a block's share of a matrix to shared memory. All threads take part, and may read it after the next barrier.
__device__ __forceinline__ SpanFeatures hold(unsigned char* memory, const float* matrix, const SpanWork& work)
{
    constexpr unsigned PARTS_OF_ROW = SPAN_WIDTH / 8;
    const unsigned count = work.rows * PARTS_OF_ROW;
    const auto numbers = [&](unsigned at) {
        return row_of<FILTER_STRIDE>(matrix, work.structure_first + at / PARTS_OF_ROW) + 8 * (at % PARTS_OF_ROW);
    };
    float most = 0;
#pragma unroll 4
    for (unsigned at = threadIdx.x; at < count; at += blockDim.x) {
        const float* from = numbers(at);
        most = fmaxf(most, fmaxf(largest(load<4>(from)), largest(load<4>(from + 4))));
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        most = fmaxf(most, __shfl_xor_sync(FULL, most, step));
    }
    float* of_warps = reinterpret_cast<float*>(memory + SPAN_FRONT_AT);
    if (lane_id() == 0) {
        of_warps[warp_id()] = most;
    }
    __syncthreads();
    for (unsigned warp = 0; warp < blockDim.x / WARP; ++warp) {
        most = fmaxf(most, of_warps[warp]);
    }
    const Scale scale(most);
    const unsigned rest = work.rows * SPAN_ROW_BYTES;
    unsigned char* features = memory + SPAN_FRONT_AT + SPAN_FRONT;
#pragma unroll 2
    for (unsigned at = threadIdx.x; at < count; at += blockDim.x) {
        const float* from = numbers(at);
        const Pack<4> one = load<4>(from);
        const Pack<4> two = load<4>(from + 4);
        const float all[8] = {one.v[0], one.v[1], one.v[2], one.v[3], two.v[0], two.v[1], two.v[2], two.v[3]};
        unsigned high[4];
        unsigned low[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            split(scale.up * all[2 * k], scale.up * all[2 * k + 1], high[k], low[k]);
        }
        const unsigned row = at / PARTS_OF_ROW;
        unsigned char* to = features + row * SPAN_ROW_BYTES + (at % PARTS_OF_ROW ^ row % SPAN_BANKS) * 16;
        *reinterpret_cast<uint4*>(to) = {high[0], high[1], high[2], high[3]};
        *reinterpret_cast<uint4*>(to + rest) = {low[0], low[1], low[2], low[3]};
    }
    return {shared_address(features), rest, work.rows, scale.down};
}

__device__ __forceinline__ float span_scale(const System& s, int block) { return s.span_scales[SHARED_BLOCKS ? 0 : block]; }

/// The structure of an atom, if it has distant pairs.
struct SpanStructure {
    unsigned first;
    unsigned rows;

    __device__ __forceinline__ SpanStructure(const System& s, unsigned atom)
    {
        const unsigned number = s.structure[atom];
        const unsigned begin = s.structures[number];
        const unsigned size = s.structures[number + 1] - begin;
        // A host may say what cannot be, which others report.
        const bool sound = size <= s.held && begin <= s.rows - size;
        first = sound ? begin : 0;
        rows = sound ? size : 0;
    }

    /// An atom's number in the structure.
    __device__ __forceinline__ unsigned number(unsigned atom) const
    {
        const unsigned local = atom - first;
        return local < rows ? local : 0;
    }
};

/// The interval of the table where a span begins, and how many it has.
__device__ __forceinline__ int span_begin(int span)
{
    int begin = span_bound(0);
#pragma unroll
    for (int k = 1; k < SPANS; ++k) {
        begin = span >= k ? span_bound(k) : begin;
    }
    return begin;
}

__device__ __forceinline__ float span_length(int span)
{
    int length = span_bound(1) - span_bound(0);
#pragma unroll
    for (int k = 1; k < SPANS; ++k) {
        length = span >= k ? span_bound(k + 1) - span_bound(k) : length;
    }
    return static_cast<float>(length);
}
