// Messages and their gradients with filters from tables: gather, filter, multiply and reduce.
//
// A few lanes take a row, several rows a warp: GROUP lanes of LANE_CHANNELS channels each make a slice. A row's pairs are in the
// order of the intervals, so that the coefficients stay in registers from pair to pair and are loaded only when the
// interval changes.

using Channels = Pack<LANE_CHANNELS>;

/// The row and the channels of a lane.
struct Place {
    unsigned row;
    int channel;
    /// Pairs of the row; none if there is no such row or channel.
    int count;
    unsigned long long first;

    __device__ __forceinline__ Place(const System& s, unsigned rows)
    {
        row = blockIdx.x * (blockDim.x / GROUP) + threadIdx.x / GROUP;
        channel = (blockIdx.y * GROUP + threadIdx.x % GROUP) * LANE_CHANNELS;
        const bool there = row < rows && channel < FILTER_STRIDE;
        first = there ? s.starts[row] : 0;
        count = there ? s.counts[row] : 0;
        row = there ? row : 0;
        channel = there ? channel : 0;
    }
};

/// The most pairs that any row of the warp has.
__device__ __forceinline__ int longest(int count)
{
#pragma unroll
    for (int step = GROUP; step < WARP; step *= 2) {
        const int other = __shfl_xor_sync(FULL, count, step);
        count = other > count ? other : count;
    }
    return count;
}

/// The polynomials of this lane's channels in one interval.
struct Polynomials {
    Channels c[ORDER];

    __device__ __forceinline__ void load_from(const Stored* table, int interval)
    {
#pragma unroll
        for (int power = 0; power < ORDER; ++power) {
            c[power] = load_stored<LANE_CHANNELS>(table + (interval * ORDER + power) * FILTER_STRIDE);
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

__device__ __forceinline__ const Stored* block_table(const System& s, int block, int channel)
{
    const unsigned long long distinct = SHARED_BLOCKS ? 0 : block;
    return s.tables + distinct * (INTERVALS * ORDER * FILTER_STRIDE) + channel;
}

/// Numbers of a lane's channels times the tables' scales.
__device__ __forceinline__ Channels table_scaled(const System& s, int block, int channel, Channels numbers)
{
    if constexpr (HALF) {
        const Channels scale = load<LANE_CHANNELS>(s.scales + (SHARED_BLOCKS ? 0 : block) * FILTER_STRIDE + channel);
#pragma unroll
        for (int v = 0; v < LANE_CHANNELS; ++v) {
            numbers.v[v] *= scale.v[v];
        }
    }
    return numbers;
}

__device__ __forceinline__ const Real* block_y(const System& s, int block)
{
    return s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE;
}

/// Σ y ∘ W over the pairs of a row; rows of y are STRIDE apart, and the first is that of atom `base`.
template <int STRIDE>
__device__ __forceinline__ Channels receive_row(
    const System& s, const Place& place, const Stored* table, const Real* y, unsigned base)
{
    const Edge* edges = s.edges + place.first;
    const int most = longest(place.count);
    Channels sum = {};
    Polynomials filter = {};
    int interval = -1;
    for (int first = 0; first < most; first += AHEAD) {
        // Several loads are under way before the first is used.
        Edge edge[AHEAD];
        Channels other[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            edge[k] = {base, 0, 0};
            if (first + k < place.count) {
                edge[k] = edges[first + k];
            }
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            other[k] = load<LANE_CHANNELS>(y + (edge[k].other - base) * static_cast<unsigned long long>(STRIDE));
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            if (first + k < place.count) {
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
    return sum;
}

/// m = Σ y ∘ W.
KERNEL(receive, ROW_THREADS, ROW_BLOCKS)
{
    const Place place(s, s.owned);
    const Channels sum = receive_row<FILTER_STRIDE>(
        s, place, block_table(s, block, place.channel), block_y(s, block) + place.channel, 0);
    const unsigned row = blockIdx.x * (blockDim.x / GROUP) + threadIdx.x / GROUP;
    const int channel = (blockIdx.y * GROUP + threadIdx.x % GROUP) * LANE_CHANNELS;
    if (row < s.owned && channel < FILTER_STRIDE) {
        store(s.m + static_cast<unsigned long long>(row) * FILTER_STRIDE + channel, table_scaled(s, block, channel, sum));
    }
}

/// dE/dy = Σ g ∘ W of a row, and the force on it by both directions of its pairs.
template <bool VIRIALS, int STRIDE>
__device__ __forceinline__ Channels send_row(const System& s, int block, const Place& place, const Stored* table,
    const Real* y, const Real* g, unsigned base, Pull<VIRIALS>& pull)
{
    const Edge* edges = s.edges + place.first;
    const Arm* arms = s.arms + place.first;
    const int most = longest(place.count);
    const unsigned long long own = (place.row - base) * static_cast<unsigned long long>(STRIDE);
    const Channels own_y = table_scaled(s, block, place.channel, load<LANE_CHANNELS>(y + own));
    const Channels own_g = table_scaled(s, block, place.channel, load<LANE_CHANNELS>(g + own));
    Channels sum = {};
    Polynomials filter = {};
    int interval = -1;
    for (int first = 0; first < most; first += AHEAD_BACK) {
        Edge edge[AHEAD_BACK];
        Channels other_y[AHEAD_BACK];
        Channels other_g[AHEAD_BACK];
#pragma unroll
        for (int k = 0; k < AHEAD_BACK; ++k) {
            edge[k] = {base, 0, 0};
            if (first + k < place.count) {
                edge[k] = edges[first + k];
            }
        }
#pragma unroll
        for (int k = 0; k < AHEAD_BACK; ++k) {
            const unsigned long long other = (edge[k].other - base) * static_cast<unsigned long long>(STRIDE);
            other_y[k] = load<LANE_CHANNELS>(y + other);
            other_g[k] = load<LANE_CHANNELS>(g + other);
        }
#pragma unroll
        for (int k = 0; k < AHEAD_BACK; ++k) {
            if (first + k < place.count) {
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
    return sum;
}

template <bool VIRIALS>
__device__ __forceinline__ void send_rows(const System& s, int block)
{
    const Place place(s, s.rows);
    Pull<VIRIALS> pull;
    const Channels sum = send_row<VIRIALS, FILTER_STRIDE>(s, block, place, block_table(s, block, place.channel),
        block_y(s, block) + place.channel, s.g + place.channel, 0, pull);
    const unsigned row = blockIdx.x * (blockDim.x / GROUP) + threadIdx.x / GROUP;
    const int channel = (blockIdx.y * GROUP + threadIdx.x % GROUP) * LANE_CHANNELS;
    if (block > 0 && row < s.rows && channel < FILTER_STRIDE) {
        store(s.m + static_cast<unsigned long long>(row) * FILTER_STRIDE + channel, table_scaled(s, block, channel, sum));
    }
    pull.template finish<GROUP>(
        s, static_cast<unsigned long long>(blockIdx.y) * s.rows + row, row < s.rows, block == BLOCKS - 1);
}

KERNEL(send, ROW_THREADS, ROW_BLOCKS) { send_rows<false>(s, block); }
KERNEL(send_virials, ROW_THREADS, ROW_BLOCKS) { send_rows<true>(s, block); }
