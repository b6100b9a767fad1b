// Messages and their gradients with filters from tables: gather, filter, multiply and reduce, a warp a row and slice of
// channels.
//
// A row's pairs are in the order of the intervals, so that the coefficients stay in registers from pair to pair and are
// loaded only when the interval changes.

/// The polynomials of this lane's channels in one interval.
struct Polynomials {
    Pack<LANE_CHANNELS> c[ORDER];

    __device__ __forceinline__ void load_from(const Stored* table, int interval)
    {
#pragma unroll
        for (int power = 0; power < ORDER; ++power) {
            c[power] = load<LANE_CHANNELS>(table + (interval * ORDER + power) * FILTER_STRIDE);
        }
    }

    /// W of channel v.
    __device__ __forceinline__ Real value(int v, Real t) const
    {
        Real sum = c[ORDER - 1].v[v];
#pragma unroll
        for (int power = ORDER - 2; power >= 0; --power) {
            sum = sum * t + c[power].v[v];
        }
        return sum;
    }

    /// dW/dt of channel v, from k tᵏ⁻¹.
    __device__ __forceinline__ Real slope(int v, const Real (&powers)[ORDER]) const
    {
        Real sum = c[1].v[v];
#pragma unroll
        for (int power = 2; power < ORDER; ++power) {
            sum += c[power].v[v] * powers[power];
        }
        return sum;
    }
};

/// The first channel of this lane, or none.
__device__ __forceinline__ bool lane_channel(int slice, int& channel)
{
    channel = (slice * WARP + lane_id()) * LANE_CHANNELS;
    return channel < FILTER_STRIDE;
}

__device__ __forceinline__ const Stored* block_table(const System& s, int block, int channel)
{
    return s.tables + (SHARED_BLOCKS ? 0 : block) * (INTERVALS * ORDER * FILTER_STRIDE) + channel;
}

/// m = Σ y ∘ W over the pairs of a row.
KERNEL(receive, ROW_THREADS, ROW_BLOCKS)
{
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + warp_id();
    int channel;
    if (row >= s.owned || !lane_channel(blockIdx.y, channel)) {
        return;
    }
    const Stored* table = block_table(s, block, channel);
    const Real* y = s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE + channel;
    const Edge* edges = s.edges + s.starts[row];
    const int count = s.counts[row];
    Pack<LANE_CHANNELS> sum = {};
    Polynomials filter = {};
    int interval = -1;
    for (int first = 0; first < count; first += AHEAD) {
        // Several loads are under way before the first is used.
        Edge edge[AHEAD];
        Pack<LANE_CHANNELS> other[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            edge[k] = edges[first + k < count ? first + k : count - 1];
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            other[k] = load<LANE_CHANNELS>(y + static_cast<unsigned long long>(edge[k].other) * FILTER_STRIDE);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            if (first + k < count) {
                if (edge[k].interval != interval) {
                    interval = edge[k].interval;
                    filter.load_from(table, interval);
                }
#pragma unroll
                for (int v = 0; v < LANE_CHANNELS; ++v) {
                    sum.v[v] += other[k].v[v] * filter.value(v, edge[k].t);
                }
            }
        }
    }
    store(s.m + static_cast<unsigned long long>(row) * FILTER_STRIDE + channel, sum);
}

/// dE/dy = Σ g ∘ W of a row, and the force on it by both directions of its pairs.
template <bool VIRIALS>
__device__ __forceinline__ void send_row(const System& s, int block)
{
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + warp_id();
    if (row >= s.rows) {
        return;
    }
    Pull<VIRIALS> pull;
    int channel;
    // All lanes take part in the sums at the end.
    if (lane_channel(blockIdx.y, channel)) {
        const Stored* table = block_table(s, block, channel);
        const Real* y = s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE + channel;
        const Real* g = s.g + channel;
        const Edge* edges = s.edges + s.starts[row];
        const Arm* arms = s.arms + s.starts[row];
        const int count = s.counts[row];
        const unsigned long long own = static_cast<unsigned long long>(row) * FILTER_STRIDE;
        const Pack<LANE_CHANNELS> own_y = load<LANE_CHANNELS>(y + own);
        const Pack<LANE_CHANNELS> own_g = load<LANE_CHANNELS>(g + own);
        Pack<LANE_CHANNELS> sum = {};
        Polynomials filter = {};
        int interval = -1;
        for (int first = 0; first < count; first += AHEAD_BACK) {
            Edge edge[AHEAD_BACK];
            Pack<LANE_CHANNELS> other_y[AHEAD_BACK];
            Pack<LANE_CHANNELS> other_g[AHEAD_BACK];
#pragma unroll
            for (int k = 0; k < AHEAD_BACK; ++k) {
                edge[k] = edges[first + k < count ? first + k : count - 1];
            }
#pragma unroll
            for (int k = 0; k < AHEAD_BACK; ++k) {
                const unsigned long long other = static_cast<unsigned long long>(edge[k].other) * FILTER_STRIDE;
                other_y[k] = load<LANE_CHANNELS>(y + other);
                other_g[k] = load<LANE_CHANNELS>(g + other);
            }
#pragma unroll
            for (int k = 0; k < AHEAD_BACK; ++k) {
                if (first + k < count) {
                    if (edge[k].interval != interval) {
                        interval = edge[k].interval;
                        filter.load_from(table, interval);
                    }
                    const Real t = edge[k].t;
                    Real powers[ORDER];
                    Real power = 1;
#pragma unroll
                    for (int p = 1; p < ORDER; ++p) {
                        powers[p] = p * power;
                        power *= t;
                    }
                    Real slope = 0;
#pragma unroll
                    for (int v = 0; v < LANE_CHANNELS; ++v) {
                        const Real gradient = other_g[k].v[v];
                        const Real product = gradient * own_y.v[v] + own_g.v[v] * other_y[k].v[v];
                        slope += product * filter.slope(v, powers);
                        sum.v[v] += gradient * filter.value(v, t);
                    }
                    pull.add(arms[first + k], slope);
                }
            }
        }
        if (block > 0) {
            store(s.m + own + channel, sum);
        }
    }
    __syncwarp();
    pull.finish(s, static_cast<unsigned long long>(blockIdx.y) * s.rows + row, block == BLOCKS - 1);
}

KERNEL(send, ROW_THREADS, ROW_BLOCKS) { send_row<false>(s, block); }
KERNEL(send_virials, ROW_THREADS, ROW_BLOCKS) { send_row<true>(s, block); }
