// Messages and their gradients with the filter network evaluated at every pair, a few pairs of a row at a time.

/// The layers of the filter network from LAYER on; rows PAIRS and up of the buffers are derivatives if SLOPES. Returns where
/// the result is.
template <int LAYER, int PAIRS, bool SLOPES>
__device__ __forceinline__ Real* filter_layers(const Real* weights, Real* in, Real* out)
{
    using Layer = FilterLayer<LAYER>;
    constexpr int ROWS = SLOPES ? 2 * PAIRS : PAIRS;
    using M = Matrix<Layer, false>;
    for (int column = 4 * lane_id(); column < M::N; column += 4 * WARP) {
        Real sum[ROWS][4] = {};
        accumulate<ROWS, FILTER_WIDTH, 4, M>(sum, in, weights + M::AT, column);
        const Pack<4> b = bias<Layer, 4>(weights, column);
#pragma unroll
        for (int pair = 0; pair < PAIRS; ++pair) {
            Pack<4> value;
            Pack<4> slope;
#pragma unroll
            for (int v = 0; v < 4; ++v) {
                value.v[v] = sum[pair][v] + b.v[v];
                slope.v[v] = SLOPES ? sum[SLOPES ? PAIRS + pair : 0][v] : Real(0);
                if constexpr (LAYER + 1 < FILTER_LAYERS) {
                    Real derivative;
                    activation<ACTIVATION>(value.v[v], value.v[v], derivative);
                    slope.v[v] *= derivative;
                }
            }
            store(out + pair * FILTER_WIDTH + column, value);
            if constexpr (SLOPES) {
                store(out + (PAIRS + pair) * FILTER_WIDTH + column, slope);
            }
        }
    }
    __syncwarp();
    if constexpr (LAYER + 1 < FILTER_LAYERS) {
        return filter_layers<LAYER + 1, PAIRS, SLOPES>(weights, out, in);
    } else {
        return out;
    }
}

/// W, and dW/dr if SLOPES, of PAIRS pairs, in rows FILTER_WIDTH apart. The filter's envelope, which multiplies them, is left
/// in `end`: f, then df/dr, of every pair.
template <int PAIRS, bool SLOPES>
__device__ __forceinline__ Real* filters(
    const System& s, const Real* weights, const Edge* edges, int count, Real* memory, Real* end)
{
    constexpr int ROWS = SLOPES ? 2 * PAIRS : PAIRS;
    Real* one = memory;
    Real* other = memory + ROWS * FILTER_WIDTH;
    const int lane = lane_id();
    for (int pair = 0; pair < PAIRS; ++pair) {
        const double r = edges[pair < count ? pair : 0].t;
        double f;
        double df;
        envelope<BASIS_ENVELOPE>(r, BASIS_ENVELOPE_END, BASIS_ENVELOPE_LOWER, BASIS_ENVELOPE_WIDTH, f, df);
        const double inner = BASIS == EXPONENTIAL_NORMAL ? exp(-BASIS_ALPHA * (r - BASIS_START)) : 0.0;
        for (int k = lane; k < padded(BASIS_SIZE); k += WARP) {
            Real value = 0;
            Real slope = 0;
            if (k < BASIS_SIZE) {
                basis_function(s.basis, k, r, inner, value, slope);
            }
            one[pair * FILTER_WIDTH + k] = value * static_cast<Real>(f);
            if constexpr (SLOPES) {
                one[(PAIRS + pair) * FILTER_WIDTH + k] =
                    slope * static_cast<Real>(f) + value * static_cast<Real>(df);
            }
        }
        if (lane == 0) {
            envelope<FILTER_ENVELOPE>(r, FILTER_ENVELOPE_END, FILTER_ENVELOPE_LOWER, FILTER_ENVELOPE_WIDTH, f, df);
            end[pair] = static_cast<Real>(f);
            end[PAIRS + pair] = static_cast<Real>(df);
        }
    }
    __syncwarp();
    return filter_layers<0, PAIRS, SLOPES>(weights, one, other);
}

/// Packs of channels a lane has in a row.
constexpr int PACKS = (FILTER_STRIDE + 4 * WARP - 1) / (4 * WARP);

__device__ __forceinline__ int pack_channel(int pack) { return 4 * (pack * WARP + lane_id()); }

/// m = Σ y ∘ W over the pairs of a row.
KERNEL(receive, ROW_THREADS, 1)
{
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + warp_id();
    if (row >= s.owned) {
        return;
    }
    constexpr int PAIRS = EXACT_ROWS;
    SHARED(Real, memory);
    Real* own = memory + warp_id() * EXACT_MEMORY;
    Real* end = own + 2 * EXACT_ROWS * FILTER_WIDTH;
    const Real* weights = block_weights(s, block);
    const Real* y = s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE;
    const Edge* edges = s.edges + s.starts[row];
    const int count = s.counts[row];
    Pack<4> sum[PACKS] = {};
    for (int first = 0; first < count; first += PAIRS) {
        const int here = count - first < PAIRS ? count - first : PAIRS;
        const Real* w = filters<PAIRS, false>(s, weights, edges + first, here, own, end);
        for (int pair = 0; pair < here; ++pair) {
            const unsigned long long other = static_cast<unsigned long long>(edges[first + pair].other) * FILTER_STRIDE;
            const Real f = end[pair];
#pragma unroll
            for (int pack = 0; pack < PACKS; ++pack) {
                const int channel = pack_channel(pack);
                if (channel < FILTER_STRIDE) {
                    const Pack<4> other_y = load<4>(y + other + channel);
                    const Pack<4> value = load<4>(w + pair * FILTER_WIDTH + channel);
#pragma unroll
                    for (int v = 0; v < 4; ++v) {
                        sum[pack].v[v] += other_y.v[v] * (f * value.v[v]);
                    }
                }
            }
        }
        __syncwarp();
    }
#pragma unroll
    for (int pack = 0; pack < PACKS; ++pack) {
        if (pack_channel(pack) < FILTER_STRIDE) {
            store(s.m + static_cast<unsigned long long>(row) * FILTER_STRIDE + pack_channel(pack), sum[pack]);
        }
    }
}

/// dE/dy = Σ g ∘ W of a row, and the force on it by both directions of its pairs.
template <bool VIRIALS>
__device__ __forceinline__ void send_row(const System& s, int block)
{
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + warp_id();
    if (row >= s.rows) {
        return;
    }
    constexpr int PAIRS = EXACT_ROWS / 2;
    SHARED(Real, memory);
    Real* own = memory + warp_id() * EXACT_MEMORY;
    Real* end = own + 2 * EXACT_ROWS * FILTER_WIDTH;
    const Real* weights = block_weights(s, block);
    const unsigned long long at = static_cast<unsigned long long>(row) * FILTER_STRIDE;
    const Real* y = s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE;
    const Edge* edges = s.edges + s.starts[row];
    const Arm* arms = s.arms + s.starts[row];
    const int count = s.counts[row];
    Pack<4> own_y[PACKS] = {};
    Pack<4> own_g[PACKS] = {};
    Pack<4> sum[PACKS] = {};
#pragma unroll
    for (int pack = 0; pack < PACKS; ++pack) {
        if (pack_channel(pack) < FILTER_STRIDE) {
            own_y[pack] = load<4>(y + at + pack_channel(pack));
            own_g[pack] = load<4>(s.g + at + pack_channel(pack));
        }
    }
    Pull<VIRIALS> pull;
    for (int first = 0; first < count; first += PAIRS) {
        const int here = count - first < PAIRS ? count - first : PAIRS;
        const Real* w = filters<PAIRS, true>(s, weights, edges + first, here, own, end);
        for (int pair = 0; pair < here; ++pair) {
            const unsigned long long other = static_cast<unsigned long long>(edges[first + pair].other) * FILTER_STRIDE;
            const Real f = end[pair];
            const Real df = end[PAIRS + pair];
            Real total = 0;
#pragma unroll
            for (int pack = 0; pack < PACKS; ++pack) {
                const int channel = pack_channel(pack);
                if (channel < FILTER_STRIDE) {
                    const Pack<4> other_y = load<4>(y + other + channel);
                    const Pack<4> other_g = load<4>(s.g + other + channel);
                    const Pack<4> value = load<4>(w + pair * FILTER_WIDTH + channel);
                    const Pack<4> slope = load<4>(w + (PAIRS + pair) * FILTER_WIDTH + channel);
#pragma unroll
                    for (int v = 0; v < 4; ++v) {
                        const Real both = other_g.v[v] * own_y[pack].v[v] + own_g[pack].v[v] * other_y.v[v];
                        total += both * (f * slope.v[v] + df * value.v[v]);
                        sum[pack].v[v] += other_g.v[v] * (f * value.v[v]);
                    }
                }
            }
            pull.add(arms[first + pair], total);
        }
        __syncwarp();
    }
#pragma unroll
    for (int pack = 0; pack < PACKS; ++pack) {
        if (block > 0 && pack_channel(pack) < FILTER_STRIDE) {
            store(s.m + at + pack_channel(pack), sum[pack]);
        }
    }
    pull.template finish<WARP>(s, row, true, block == BLOCKS - 1);
}

KERNEL(send, ROW_THREADS, 1) { send_row<false>(s, block); }
KERNEL(send_virials, ROW_THREADS, 1) { send_row<true>(s, block); }
