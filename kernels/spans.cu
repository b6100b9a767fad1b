// Distant pairs: their order, once a step, and messages and dE/dy by tensor cores.

/// Puts the pairs of every span of a row into tiles, a warp a row.
///
/// Those that would meet in a bank are dealt out: pairs sorted by bank go to the groups of 8, which are loaded together, in turn.
KERNEL(deal, SPAN_DEAL_THREADS, 1)
{
    // Pairs that are loaded together.
    constexpr unsigned TOGETHER = TILE / 2;
    __shared__ unsigned all_counts[SPAN_DEAL_THREADS / WARP][SPAN_BANKS];
    unsigned* counts = all_counts[warp_id()];
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + warp_id();
    if (row >= s.rows) {
        return;
    }
    const int lane = lane_id();
    const SpanStructure structure(s, row);
    const SpanTiles tiles(s, row);
    const Edge* edges = s.edges + s.starts[row];
    Slot* slots = const_cast<Slot*>(tiles.slots);
    for (int span = 0; span < SPANS; ++span) {
        const unsigned begin = tiles.begin(span);
        const unsigned pairs = tiles.pairs(span);
        if (pairs == 0) {
            continue;
        }
        const float first = static_cast<float>(span_begin(span));
        const float scale = 2.0f / span_length(span);
        __syncwarp();
        if (lane < SPAN_BANKS) {
            counts[lane] = 0;
        }
        __syncwarp();
        for (unsigned at = lane; at < pairs; at += WARP) {
            atomicAdd(&counts[structure.number(edges[begin + at].other) % SPAN_BANKS], 1u);
        }
        __syncwarp();
        // From counts to how many are in the banks before.
        unsigned before = 0;
        for (int bank = 0; bank < lane % SPAN_BANKS; ++bank) {
            before += counts[bank];
        }
        __syncwarp();
        if (lane < SPAN_BANKS) {
            counts[lane] = before;
        }
        __syncwarp();
        const unsigned groups = tiles.count(span) * (TILE / TOGETHER);
        for (unsigned base = 0; base < pairs; base += WARP) {
            const unsigned at = base + lane;
            const bool there = at < pairs;
            Slot slot = {};
            if (there) {
                const Edge edge = edges[begin + at];
                const float place = static_cast<float>(edge.interval) - first + edge.t;
                slot = {scale * place - 1.0f, structure.number(edge.other)};
            }
            const unsigned bank = slot.other % SPAN_BANKS;
            const unsigned peers = __match_any_sync(FULL, there ? bank : SPAN_BANKS + lane);
            const unsigned rank = __popc(peers & ((1u << lane) - 1));
            if (there) {
                const unsigned number = counts[bank] + rank;
                slots[number % groups * TOGETHER + number / groups] = slot;
            }
            __syncwarp();
            if (there && rank == 0) {
                counts[bank] += __popc(peers);
            }
            __syncwarp();
        }
        // What is left of the groups repeats a pair that each has, whose bank is asked for anyway.
        for (unsigned at = lane; at < groups * TOGETHER; at += WARP) {
            const unsigned group = at / TOGETHER;
            if (at % TOGETHER * groups + group >= pairs) {
                slots[at] = {NO_PAIR, slots[group < pairs ? group * TOGETHER : 0].other};
            }
        }
        slots += groups * TOGETHER;
    }
}

/// The polynomials of a tile's pairs as products take them: those of number l, l + 4, l + 8 and l + 12 in columns 2 l and 2 l + 1 of the first
/// and second 8. Coefficients fall by three decimals within eight terms, so that what rounding leaves is wanted of the first 8 alone.
struct SpanPolynomials {
    /// Of pairs 0 to 7 and 8 to 15, for each half of the terms.
    unsigned high[SPAN_HALVES][2];
    unsigned low[2];

    /// From where lanes 4 k to 4 k + 3 have pair k.
    __device__ __forceinline__ void set(int eight, float u)
    {
        const bool there = u < NO_PAIR;
        float t[4];
        span_polynomials(there ? u : 0.0f, there ? 1.0f : 0.0f, t);
        const unsigned first = to_halves(t[0], t[1]);
        high[0][eight] = transposed(first);
        high[1][eight] = transposed(to_halves(t[2], t[3]));
        low[eight] = transposed(to_halves(t[0] - from_half(first), t[1] - from_half(first >> 16)));
    }

    /// T of a lane's four numbers, times `factor`.
    __device__ __forceinline__ static void span_polynomials(float u, float factor, float (&t)[4])
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
};

/// Sums over the pairs of a span by its polynomials: of channels l / 4 and l / 4 + 8 of every tile in lane l, by those in its columns.
struct SpanSums {
    float of[SPAN_STEPS][SPAN_HALVES][4];

    __device__ __forceinline__ void clear()
    {
#pragma unroll
        for (int step = 0; step < SPAN_STEPS; ++step) {
#pragma unroll
            for (int half = 0; half < SPAN_HALVES; ++half) {
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    of[step][half][k] = 0.0f;
                }
            }
        }
    }

    /// Adds a tile of pairs, of which `at` is the lane's place.
    __device__ __forceinline__ void add(const SpanFeatures& features, Shared at, const SpanPolynomials& values)
    {
#pragma unroll
        for (int step = 0; step < SPAN_STEPS; ++step) {
            const Shared tile = SpanFeatures::tile(at, step);
            unsigned high[4];
            unsigned low[4];
            load_matrices<true>(high, tile);
            load_matrices<true>(low, tile + features.rest);
            multiply_add(of[step][0], low, values.high[0][0], values.high[0][1]);
            multiply_add(of[step][0], high, values.low[0], values.low[1]);
#pragma unroll
            for (int half = 0; half < SPAN_HALVES; ++half) {
                multiply_add(of[step][half], high, values.high[half][0], values.high[half][1]);
            }
        }
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

/// Sums of features ∘ W over the distant pairs of rows, to where all parts of a row are added up.
__device__ __forceinline__ void gather_spans(const System& s, int block, const float* matrix)
{
    constexpr int CHANNELS = 2 * SPAN_STEPS;
    SHARED(unsigned char, memory);
    unsigned* taken = rows_taken(memory);
    const SpanWork work(s);
    const int slice = work.slice();
    const uint4* coefficients = hold_coefficients(reinterpret_cast<uint4*>(memory), s.span_filters, block, slice);
    SpanFeatures features = {};
    if (work.rows <= s.held) {
        features = hold(memory, matrix + slice * SPAN_WIDTH, work);
    }
    if (threadIdx.x == 0) {
        *taken = 0;
    }
    __syncthreads();
    const int lane = lane_id();
    // The lane's row of the four matrices of a tile: both eights of pairs, and in each both parts of the channels.
    const int own = lane / 16 * 8 + lane % 8;
    const int part = lane / 8 % 2;
    const float scale = span_scale(s, block) * features.down;
    for (unsigned local = work.next(taken); local < work.rows; local = work.next(taken)) {
        const unsigned row = work.structure_first + local;
        const SpanTiles tiles(s, row);
        float sums[CHANNELS] = {};
        const Slot* at = tiles.slots;
        // Of the next tile, well ahead.
        float one = at[lane / 4].u;
        float two = at[8 + lane / 4].u;
        unsigned other = at[own].other;
#pragma unroll 1
        for (int span = 0; span < SPANS; ++span) {
            const unsigned count = tiles.count(span);
            if (count == 0) {
                continue;
            }
            SpanSums of_span;
            of_span.clear();
#pragma unroll 1
            for (unsigned tile = 0; tile < count; ++tile) {
                const Shared from = features.at(other, part);
                SpanPolynomials values;
                values.set(0, one);
                values.set(1, two);
                at += TILE;
                one = at[lane / 4].u;
                two = at[8 + lane / 4].u;
                other = at[own].other;
                of_span.add(features, from, values);
            }
#pragma unroll
            for (int step = 0; step < SPAN_STEPS; ++step) {
                float numbers[SPAN_EACH];
                span_coefficients(coefficients, span, step, numbers);
#pragma unroll
                for (int half = 0; half < SPAN_HALVES; ++half) {
#pragma unroll
                    for (int k = 0; k < 4; ++k) {
                        sums[2 * step + k / 2] += of_span.of[step][half][k] * numbers[4 * half + k];
                    }
                }
            }
        }
        float halves[CHANNELS / 2];
        float whole[CHANNELS / 4];
        fold<CHANNELS, 1>(sums, halves);
        fold<CHANNELS / 2, 2>(halves, whole);
        const int first = lane % 2 * (CHANNELS / 2) + lane / 2 % 2 * (CHANNELS / 4);
        float* to = s.m + (static_cast<unsigned long long>(PARTS) * s.rows + row) * FILTER_STRIDE + slice * SPAN_WIDTH + lane / 4;
#pragma unroll
        for (int k = 0; k < CHANNELS / 4; ++k) {
            to[8 * (first + k)] = scale * whole[k];
        }
    }
}

/// m = Σ y ∘ W of distant pairs.
KERNEL(receive_spans, SPAN_THREADS, 1) { gather_spans(s, block, block_y(s, block)); }

/// dE/dy = Σ g ∘ W of distant pairs.
KERNEL(send_spans, SPAN_THREADS, 1) { gather_spans(s, block, s.g); }
