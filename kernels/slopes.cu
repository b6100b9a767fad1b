// Forces between distant pairs.
//
// Σ g(i) y(j) dW/dr over channels is one over a span's polynomials: of their derivatives, times what a product of two matrices makes of
// coefficients times g(i) and of the features y(j). It is kept for both directions of a pair, which then are added up.

/// Derivatives of a lane's four polynomials, l, l + 4, l + 8 and l + 12, by where a pair is in the table.
__device__ __forceinline__ void span_slopes(float u, float (&slopes)[4])
{
    const int number = lane_id() % 4;
    const float t2 = 2 * u * u - 1;
    const float t4 = 2 * t2 * t2 - 1;
    // T'(n) = n S(n), where S(n) = sin(n θ) / sin θ with cos θ = u. S(l + 4) = 2 T(4) S(l) + S(4 − l).
    const float s2 = 2 * u;
    const float s3 = 2 * t2 + 1;
    const float s4 = 2 * t2 * s2;
    float s[4];
    s[0] = number < 2 ? (number == 0 ? 0.0f : 1.0f) : (number == 2 ? s2 : s3);
    const float back = number < 2 ? (number == 0 ? s4 : s3) : (number == 2 ? s2 : 1.0f);
    const float twice = 2 * t4;
    s[1] = twice * s[0] + back;
    s[2] = twice * s[1] - s[0];
    s[3] = twice * s[2] - s[1];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        slopes[k] = static_cast<float>(number + 4 * k) * s[k];
    }
}

/// Coefficients of a span times a row's g, as products take them.
struct SpanFactors {
    unsigned high[SPAN_STEPS][SPAN_HALVES][2];
    /// Of the first half of the terms.
    unsigned low[SPAN_STEPS][2];

    /// `row` is the row's g from the lane's first channel on.
    __device__ __forceinline__ void set(const uint4* coefficients, int span, const float* row, float scale)
    {
#pragma unroll
        for (int step = 0; step < SPAN_STEPS; ++step) {
            float numbers[SPAN_EACH];
            span_coefficients(coefficients, span, step, numbers);
            const Pack<2> g[2] = {load<2>(row + TILE * step), load<2>(row + TILE * step + 8)};
#pragma unroll
            for (int half = 0; half < SPAN_HALVES; ++half) {
#pragma unroll
                for (int k = 0; k < 2; ++k) {
                    const float one = numbers[4 * half + 2 * k] * (scale * g[k].v[0]);
                    const float two = numbers[4 * half + 2 * k + 1] * (scale * g[k].v[1]);
                    if (half == 0) {
                        split(one, two, high[step][0][k], low[step][k]);
                    } else {
                        high[step][half][k] = to_halves(one, two);
                    }
                }
            }
        }
    }
};

/// Adds Σ g y dW of this block's channels to what distant pairs have, each direction by itself.
KERNEL(slope_spans, SPAN_THREADS, 1)
{
    SHARED(unsigned char, memory);
    unsigned* taken = rows_taken(memory);
    const SpanWork work(s);
    const int slice = work.slice();
    if (work.rows > s.held) {
        return;
    }
    const uint4* coefficients = hold_coefficients(reinterpret_cast<uint4*>(memory), s.span_factors, block, slice);
    const SpanFeatures features = hold(memory, block_y(s, block) + slice * SPAN_WIDTH, work);
    if (threadIdx.x == 0) {
        *taken = 0;
    }
    __syncthreads();
    const int lane = lane_id();
    // The lane's row of the four matrices of a tile: both parts of the channels, and in each both eights of pairs.
    const int own = lane % 16;
    const int part = lane / 16;
    const float all_scale = span_scale(s, block) * features.down;
    for (unsigned local = work.next(taken); local < work.rows; local = work.next(taken)) {
        const unsigned row = work.structure_first + local;
        const SpanTiles tiles(s, row);
        // From the lane's first channel on: it has two neighbours of every tile, and those 8 further.
        const float* g = kept(row_of<FILTER_STRIDE>(s.g, row) + slice * SPAN_WIDTH + 2 * (lane % 4));
        float most = 0;
#pragma unroll
        for (int eight = 0; eight < 2 * SPAN_STEPS; ++eight) {
            most = fmaxf(most, largest(load<2>(g + 8 * eight)));
        }
        most = fmaxf(most, __shfl_xor_sync(FULL, most, 1));
        most = fmaxf(most, __shfl_xor_sync(FULL, most, 2));
        const Scale scale(most);
        float* slopes = s.slopes + (static_cast<unsigned long long>(slice) * s.rows + row) * s.held;
        const int turn = lane % 4;
        // A lane's two pairs: where they are; its address of a tile, and the pair whose slope it adds.
        const Slot* at = tiles.slots;
        float places[2] = {at[lane / 4].u, at[8 + lane / 4].u};
        unsigned other = at[own].other;
        Slot to = at[turn % 2 * 8 + lane / 4];
#pragma unroll 1
        for (int span = 0; span < SPANS; ++span) {
            const unsigned count = tiles.count(span);
            if (count == 0) {
                continue;
            }
            SpanFactors factors;
            factors.set(coefficients, span, g, scale.up);
            const float factor = all_scale * scale.down * 2.0f / span_length(span);
#pragma unroll 1
            for (unsigned tile = 0; tile < count; ++tile) {
                const Shared from = features.at(other, part);
                const float u[2] = {places[0], places[1]};
                const bool adds = turn < 2 && to.u < NO_PAIR && to.other < s.held;
                float* slope = slopes + to.other;
                const float before = adds && block < BLOCKS - 1 ? *slope : 0.0f;
                // Of the next tile, well ahead.
                at += TILE;
                places[0] = at[lane / 4].u;
                places[1] = at[8 + lane / 4].u;
                other = at[own].other;
                to = at[turn % 2 * 8 + lane / 4];
                float sums[2][SPAN_HALVES][4] = {};
#pragma unroll
                for (int step = 0; step < SPAN_STEPS; ++step) {
                    const Shared tile_at = SpanFeatures::tile(from, step);
                    unsigned high[4];
                    unsigned low[4];
                    load_matrices<false>(high, tile_at);
                    load_matrices<false>(low, tile_at + features.rest);
                    multiply_add(sums[step % 2][0], low, factors.high[step][0][0], factors.high[step][0][1]);
                    multiply_add(sums[step % 2][0], high, factors.low[step][0], factors.low[step][1]);
#pragma unroll
                    for (int half = 0; half < SPAN_HALVES; ++half) {
                        multiply_add(sums[step % 2][half], high, factors.high[step][half][0], factors.high[step][half][1]);
                    }
                }
                float results[2];
#pragma unroll
                for (int k = 0; k < 2; ++k) {
                    float derivatives[4];
                    span_slopes(u[k], derivatives);
                    float sum = 0;
#pragma unroll
                    for (int term = 0; term < 4; ++term) {
                        sum += derivatives[term] * (sums[0][term / 2][2 * k + term % 2] + sums[1][term / 2][2 * k + term % 2]);
                    }
                    sum += __shfl_xor_sync(FULL, sum, 1);
                    sum += __shfl_xor_sync(FULL, sum, 2);
                    results[k] = sum;
                }
                if (adds) {
                    *slope = before + factor * (turn == 0 ? results[0] : results[1]);
                }
            }
        }
    }
}

/// What pairs of structures with spans pull at a row with, a warp a row: distant ones have both directions' slopes, and near ones two parts of
/// one. `first` says whether nothing else does.
template <bool VIRIALS>
__device__ __forceinline__ void pull_rows(const System& s, bool first)
{
    const unsigned number = blockIdx.x * (blockDim.x / WARP) + warp_id();
    const unsigned row = number < s.rows ? number : 0;
    const SpanStructure structure(s, row);
    const unsigned* spans = s.spans + static_cast<unsigned long long>(row) * (SPANS + 1);
    const unsigned long long matrix = static_cast<unsigned long long>(s.rows) * s.held;
    const unsigned long long start = s.starts[row];
    const unsigned local = structure.number(row);
    Pull<VIRIALS> pull;
    const unsigned count = structure.rows > 0 ? spans[SPANS] : 0;
    for (unsigned at = lane_id(); at < count; at += WARP) {
        const unsigned other = structure.number(s.edges[start + at].other);
        const float* there = s.slopes + static_cast<unsigned long long>(row) * s.held + other;
        const float* back = s.slopes + static_cast<unsigned long long>(structure.first + other) * s.held + local;
        float slope = 0;
        for (int slice = 0; slice < SPAN_SLICES; ++slice) {
            slope += there[slice * matrix] + back[slice * matrix];
        }
        pull.add(s.arms[start + at], slope);
    }
    pull.template finish<WARP>(s, row, number < s.rows, first);
}

KERNEL(pull_spans, SPAN_DEAL_THREADS, 1)
{
    if (s.virials != nullptr) {
        pull_rows<true>(s, block != 0);
    } else {
        pull_rows<false>(s, block != 0);
    }
}
