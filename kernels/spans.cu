// Messages of distant pairs, whose filters are polynomials of degree 15 over a few wide spans of distance.
//
// A block takes rows of one structure and SPAN_WIDTH of their channels, with the features that they gather in shared memory. A warp
// takes a row, 16 pairs of a span at a time: tensor cores multiply the pairs' Chebyshev polynomials by the span's coefficients, which
// stay in registers, and every lane goes on with the filters of two pairs and two of every 8 channels. Nearer pairs are table.cu's.

/// Channels of a block, and how many products of 8 channels these are.
constexpr int SPAN_STEPS = SPAN_WIDTH / 8;
constexpr int SPAN_SLICES = FILTER_STRIDE / SPAN_WIDTH;
/// Pairs of a product.
constexpr int SPAN_PAIRS = 16;
/// Numbers that a lane has of a span's coefficients, four of them side by side.
constexpr int SPAN_NUMBERS = 3 * SPAN_STEPS;
/// Of a lane: four of every 16.
constexpr int SPAN_CHANNELS = SPAN_WIDTH / 4;

/// What a block works on: some rows of a structure, and a slice of their channels.
struct SpanWork {
    unsigned structure_first;
    unsigned rows;

    __device__ __forceinline__ explicit SpanWork(const System& s)
    {
        structure_first = s.structures[blockIdx.x];
        // A host may say what cannot be, which others report.
        const unsigned end = s.structures[blockIdx.x + 1];
        rows = end > structure_first ? end - structure_first : 0;
    }

    __device__ __forceinline__ static int slice() { return blockIdx.y % SPAN_SLICES; }
    /// A warp's first row in the structure, and how far it is to its next one.
    __device__ __forceinline__ static unsigned first() { return warp_id() * (gridDim.y / SPAN_SLICES) + blockIdx.y / SPAN_SLICES; }
    __device__ __forceinline__ static unsigned step() { return blockDim.x / WARP * (gridDim.y / SPAN_SLICES); }
};

/// Features of one structure's rows, of which a block takes SPAN_WIDTH channels, or a copy of those in shared memory.
///
/// A row of the copy is whole lines of the memory's banks. Rows of odd number have the halves of each line exchanged: an even and an odd one
/// that are read together are then in different banks.
template <bool HELD>
struct SpanFeatures {
    static constexpr unsigned ROW = HELD ? SPAN_WIDTH : FILTER_STRIDE;
    /// Of this lane, in the structure's first row.
    const float* base;
    unsigned structure_first;
    unsigned rows;

    /// Where a lane's four channels of the first and second 16 are.
    struct Place {
        unsigned even;
        unsigned odd;

    };

    __device__ __forceinline__ Place place(unsigned row) const
    {
        const unsigned local = row - structure_first;
        // Others report a list that is another structure's; here nothing beside the rows is read.
        const unsigned at = (local < rows ? local : rows - 1) * ROW;
        const unsigned turn = HELD ? row % 2 * 16 : 0;
        return {at + turn, at + 16 - turn};
    }

    /// The lane's four channels of a 16.
    __device__ __forceinline__ Pack<4> of(const Place& place, int sixteen) const
    {
        return load<4>(base + (sixteen % 2 ? place.odd : place.even) + sixteen / 2 * 32);
    }
};

/// Copies a block's share of a matrix to shared memory.
__device__ __forceinline__ void hold(float* memory, const float* matrix, const SpanWork& work)
{
    constexpr int ROW_PARTS = SPAN_WIDTH / 4;
    constexpr int AT_ONCE = 4;
    const unsigned count = work.rows * ROW_PARTS;
    for (unsigned first = threadIdx.x; first < count; first += AT_ONCE * blockDim.x) {
        Pack<4> parts[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const unsigned at = first + k * blockDim.x;
            if (at < count) {
                const unsigned row = work.structure_first + at / ROW_PARTS;
                parts[k] = load<4>(row_of<FILTER_STRIDE>(matrix, row) + 4 * (at % ROW_PARTS));
            }
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const unsigned at = first + k * blockDim.x;
            if (at < count) {
                const unsigned row = work.structure_first + at / ROW_PARTS;
                const unsigned turned = at % ROW_PARTS ^ (row % 2 * 4);
                store(memory + at / ROW_PARTS * SPAN_WIDTH + 4 * turned, parts[k]);
            }
        }
    }
}

/// A lane's polynomials of its two pairs: T of number l, l + 4, l + 8 and l + 12 for lane l of four, as float16 numbers, and what that
/// leaves of the first two. Coefficients fall by three decimals within eight terms, so that the others need no more.
struct SpanPolynomials {
    /// As tensor cores take them: l and l + 4 of both pairs, and then l + 8 and l + 12.
    unsigned high[4];
    unsigned low[2];

    __device__ __forceinline__ void set(int pair, const float (&t)[4])
    {
        high[pair] = to_halves(t[0], t[1]);
        high[2 + pair] = to_halves(t[2], t[3]);
        low[pair] = to_halves(t[0] - from_half(high[pair]), t[1] - from_half(high[pair] >> 16));
    }
};

/// Has a number worked out here and not later: what has been loaded for it would then wait for loads that are begun in between.
__device__ __forceinline__ void now([[maybe_unused]] unsigned& number)
{
#ifdef __CUDACC__
    asm volatile("" : "+r"(number));
#endif
}

/// Where pairs are in a span, from −1 to 1.
struct SpanVariable {
    float begin;
    float scale;

    __device__ __forceinline__ explicit SpanVariable(int span)
    {
        begin = span_bound(0);
        scale = 2.0f / (span_bound(1) - span_bound(0));
#pragma unroll
        for (int k = 1; k < SPANS; ++k) {
            begin = span >= k ? static_cast<float>(span_bound(k)) : begin;
            scale = span >= k ? 2.0f / (span_bound(k + 1) - span_bound(k)) : scale;
        }
    }

    __device__ __forceinline__ float of(const Edge& edge) const
    {
        return scale * (static_cast<float>(edge.interval) - begin + edge.t) - 1.0f;
    }
};

/// T of a lane's four numbers, times `factor`.
__device__ __forceinline__ void span_polynomials(float u, float factor, float (&t)[4])
{
    const int number = lane_id() % 4;
    const float t2 = 2 * u * u - 1;
    const float t3 = 2 * u * t2 - u;
    const float t4 = 2 * t2 * t2 - 1;
    // T(l + 4) = 2 T(4) T(l) − T(4 − l).
    t[0] = factor * (number < 2 ? (number == 0 ? 1.0f : u) : (number == 2 ? t2 : t3));
    const float back = factor * (number < 2 ? (number == 0 ? t4 : t3) : (number == 2 ? t2 : u));
    const float twice = 2 * t4;
    t[1] = twice * t[0] - back;
    t[2] = twice * t[1] - t[0];
    t[3] = twice * t[2] - t[1];
}

/// A block's coefficients in shared memory, where every lane has its parts: SPAN_NUMBERS a span.
constexpr int SPAN_LOADS = SPAN_NUMBERS / 4;
constexpr int SPAN_FRAGMENTS = SPANS * SPAN_LOADS * WARP;

__device__ __forceinline__ const uint4* hold_fragments(uint4* memory, const System& s, int block, int slice)
{
    const unsigned long long distinct = SHARED_BLOCKS ? 0 : block;
    const uint4* from = s.span_fragments + (distinct * SPAN_SLICES + slice) * SPAN_FRAGMENTS;
    for (int at = threadIdx.x; at < SPAN_FRAGMENTS; at += blockDim.x) {
        memory[at] = from[at];
    }
    return memory + lane_id();
}

/// Products of this many steps are under way at once, each of which takes a while.
constexpr int SPAN_GROUP = 4;

/// A span's coefficients as a lane has them.
struct SpanCoefficients {
    /// Rounded ones of every step, of terms l and l + 4, and l + 8 and l + 12, and then what rounding left of the former.
    unsigned numbers[SPAN_NUMBERS];

    __device__ __forceinline__ void load_from(const uint4* fragments, int span)
    {
#pragma unroll
        for (int k = 0; k < SPAN_LOADS; ++k) {
            const uint4 four = fragments[(span * SPAN_LOADS + k) * WARP];
            numbers[4 * k] = four.x;
            numbers[4 * k + 1] = four.y;
            numbers[4 * k + 2] = four.z;
            numbers[4 * k + 3] = four.w;
        }
    }

    /// Filters of the lane's two pairs and two channels of each of the steps from `first` on.
    __device__ __forceinline__ void multiply(int first, const SpanPolynomials& of, float (&sums)[SPAN_GROUP][4]) const
    {
        // What rounding left of either by what was rounded of the other comes first, being small.
#pragma unroll
        for (int k = 0; k < SPAN_GROUP; ++k) {
            multiply_half(sums[k], of.low[0], of.low[1], numbers[2 * (first + k)]);
        }
#pragma unroll
        for (int k = 0; k < SPAN_GROUP; ++k) {
            multiply_add_half(sums[k], of.high[0], of.high[1], numbers[2 * SPAN_STEPS + first + k]);
        }
#pragma unroll
        for (int k = 0; k < SPAN_GROUP; ++k) {
            multiply_add(sums[k], of.high, numbers[2 * (first + k)], numbers[2 * (first + k) + 1]);
        }
    }
};

/// The spans of a row, 16 pairs at a time, and a lane's two of these.
struct SpanTiles {
    const Edge* row;
    /// Where spans begin, and the last one's end, of which a lane has one.
    unsigned ends;
    int span = -1;
    int at = 0;
    int end = 0;
    /// Whether the span is not that of the 16 before.
    bool entered = false;
    Edge edges[2] = {};
    /// 1, or 0 where there is no such pair, and then the edge is the span's last.
    float there[2] = {};

    /// Before the first.
    __device__ __forceinline__ SpanTiles(const System& s, unsigned number)
        : row(kept(s.edges + s.starts[number])),
          ends(s.spans[static_cast<unsigned long long>(number) * (SPANS + 1) + lane_id() % (SPANS + 1)])
    {
    }

    /// Goes to the next 16, if there are any.
    __device__ __forceinline__ bool next()
    {
        at += SPAN_PAIRS;
        entered = false;
        while (at >= end) {
            if (++span >= SPANS) {
                return false;
            }
            at = __shfl_sync(FULL, ends, span);
            end = __shfl_sync(FULL, ends, span + 1);
            entered = true;
        }
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            const int own = at + 8 * k + lane_id() / 4;
            there[k] = own < end ? 1.0f : 0.0f;
            edges[k] = row[own < end ? own : end - 1];
        }
        return true;
    }
};

/// Adds up what lanes of the first half of COUNT numbers have in both halves of the lanes, and of the second half likewise: those of bit
/// BIT go on with the latter.
template <int COUNT, int BIT>
__device__ __forceinline__ void fold(const float (&from)[COUNT], float (&to)[COUNT / 2])
{
    const bool upper = lane_id() & BIT;
#pragma unroll
    for (int k = 0; k < COUNT / 2; ++k) {
        const float other = __shfl_xor_sync(FULL, upper ? from[k] : from[k + COUNT / 2], BIT);
        to[k] = (upper ? from[k + COUNT / 2] : from[k]) + other;
    }
}

/// Adds up what the lanes of a row's pairs have of each channel, and puts it where all parts of the row are added up.
__device__ __forceinline__ void put_spans(const System& s, unsigned row, int slice, const float (&sums)[SPAN_CHANNELS], float scale)
{
    constexpr int LEFT = SPAN_CHANNELS / 8;
    float half[SPAN_CHANNELS / 2];
    float quarter[SPAN_CHANNELS / 4];
    float own[LEFT];
    fold<SPAN_CHANNELS, 16>(sums, half);
    fold<SPAN_CHANNELS / 2, 8>(half, quarter);
    fold<SPAN_CHANNELS / 4, 4>(quarter, own);
    Pack<LEFT> result;
#pragma unroll
    for (int k = 0; k < LEFT; ++k) {
        result.v[k] = scale * own[k];
    }
    // Numbers in the order of the lane's channels, of which it has four of every 16.
    const int lane = lane_id();
    const int first = (lane & 16 ? SPAN_CHANNELS / 2 : 0) + (lane & 8 ? SPAN_CHANNELS / 4 : 0) + (lane & 4 ? LEFT : 0);
    const int channel = SPAN_WIDTH * slice + first / 4 * 16 + 4 * (lane % 4) + first % 4;
    store(s.m + (static_cast<unsigned long long>(PARTS) * s.rows + row) * FILTER_STRIDE + channel, result);
}

__device__ __forceinline__ float span_scale(const System& s, int block) { return s.span_scales[SHARED_BLOCKS ? 0 : block]; }

template <bool HELD>
__device__ __forceinline__ void receive_spans(
    const System& s, int block, const SpanWork& work, const uint4* fragments, const SpanFeatures<HELD>& features)
{
    for (unsigned local = work.first(); local < work.rows; local += work.step()) {
        const unsigned row = work.structure_first + local;
        SpanTiles tiles(s, row);
        float sums[SPAN_CHANNELS] = {};
        SpanCoefficients coefficients;
        for (bool more = tiles.next(); more;) {
            if (tiles.entered) {
                coefficients.load_from(fragments, tiles.span);
            }
            SpanPolynomials values;
            typename SpanFeatures<HELD>::Place from[2];
            const SpanVariable variable(tiles.span);
#pragma unroll
            for (int k = 0; k < 2; ++k) {
                float t[4];
                span_polynomials(variable.of(tiles.edges[k]), tiles.there[k], t);
                values.set(k, t);
                from[k] = features.place(tiles.edges[k].other);
                now(from[k].even);
                now(from[k].odd);
                now(values.high[k]);
                now(values.high[2 + k]);
                now(values.low[k]);
            }
            more = tiles.next();
#pragma unroll
            for (int first = 0; first < SPAN_STEPS; first += SPAN_GROUP) {
                Pack<4> y[2][SPAN_GROUP / 2];
#pragma unroll
                for (int k = 0; k < 2; ++k) {
#pragma unroll
                    for (int part = 0; part < SPAN_GROUP / 2; ++part) {
                        y[k][part] = features.of(from[k], first / 2 + part);
                    }
                }
                float w[SPAN_GROUP][4];
                coefficients.multiply(first, values, w);
#pragma unroll
                for (int step = 0; step < SPAN_GROUP; ++step) {
#pragma unroll
                    for (int k = 0; k < 2; ++k) {
#pragma unroll
                        for (int v = 0; v < 2; ++v) {
                            sums[2 * (first + step) + v] += y[k][step / 2].v[step % 2 * 2 + v] * w[step][2 * k + v];
                        }
                    }
                }
            }
        }
        put_spans(s, row, work.slice(), sums, span_scale(s, block));
    }
}

/// m = Σ y ∘ W of distant pairs.
KERNEL(receive_spans, SPAN_THREADS, 1)
{
    SHARED(uint4, memory);
    const SpanWork work(s);
    const bool held = work.rows <= s.held;
    const float* y = block_y(s, block) + work.slice() * SPAN_WIDTH;
    const int own = 4 * (lane_id() % 4);
    const uint4* fragments = hold_fragments(memory, s, block, work.slice());
    float* copy = reinterpret_cast<float*>(memory + SPAN_FRAGMENTS);
    if (held) {
        hold(copy, y, work);
    }
    __syncthreads();
    if (held) {
        receive_spans(s, block, work, fragments, SpanFeatures<true>{copy + own, work.structure_first, work.rows});
    } else {
        const float* first = row_of<FILTER_STRIDE>(y, work.structure_first);
        receive_spans(s, block, work, fragments, SpanFeatures<false>{first + own, work.structure_first, work.rows});
    }
}
