// Messages and their gradients with filters from tables: gather, filter, multiply and reduce.
//
// A few lanes take a row: GROUP lanes of LANE_CHANNELS channels each make a slice. Where rows are few, a row's pairs are shared by PARTS
// such groups, in blocks of their own: those of a block have different rows and like intervals, whose coefficients the nearest cache
// then holds for all of them. The pairs are in the order of the intervals; a batch of them is loaded at once, well ahead, and handed around
// through shared memory.

using Channels = Pack<LANE_CHANNELS>;

/// Pairs of a row: none where its structure has kernels of its own for near and for distant ones.
__device__ __forceinline__ unsigned row_count(const System& s, unsigned row)
{
    if constexpr (SPANS > 0) {
        const unsigned structure = s.structure[row];
        if (s.structures[structure + 1] - s.structures[structure] <= s.held) {
            return 0;
        }
    }
    return s.counts[row];
}

/// The row, channels and pairs of a lane.
struct Place {
    unsigned row;
    int channel;
    /// Whether there is such a row and channel.
    bool there;
    /// Which of the groups that share the row.
    unsigned part;
    /// The first pair, and how many: none if there is no such row.
    unsigned long long first;
    int count;

    __device__ __forceinline__ Place(const System& s, unsigned rows)
    {
        const unsigned group = threadIdx.x / GROUP;
        row = blockIdx.x * (blockDim.x / GROUP) + group;
        part = blockIdx.y / SLICES;
        channel = (blockIdx.y % SLICES * GROUP + threadIdx.x % GROUP) * LANE_CHANNELS;
        there = row < rows && channel < FILTER_STRIDE;
        first = 0;
        count = 0;
        // All lanes of a group go through its pairs together, also those that have no channel.
        if (row < rows) {
            const unsigned all = row_count(s, row);
            const unsigned begin = all * part / PARTS;
            first = s.starts[row] + begin;
            count = static_cast<int>(all * (part + 1) / PARTS - begin);
        }
    }

    /// The row, or one that there is.
    __device__ __forceinline__ unsigned some_row() const { return there ? row : 0; }
    __device__ __forceinline__ int some_channel() const { return there ? channel : 0; }

    /// Puts a sum over this part of the pairs where all of them are added up.
    __device__ __forceinline__ void put(const System& s, const Channels& sum) const
    {
        store(s.m + (static_cast<unsigned long long>(part) * s.rows + row) * FILTER_STRIDE + channel, sum);
    }
};

/// The most pairs that any group of the warp has.
__device__ __forceinline__ int longest(int count)
{
#pragma unroll
    for (int step = GROUP; step < WARP; step *= 2) {
        const int other = __shfl_xor_sync(FULL, count, step);
        count = other > count ? other : count;
    }
    return count;
}

/// A block's table, from a lane's first channel on.
__device__ __forceinline__ const Real* block_table(const System& s, int block, int channel)
{
    const unsigned long long distinct = SHARED_BLOCKS ? 0 : block;
    return kept(s.tables + distinct * (INTERVALS * ORDER * FILTER_STRIDE) + channel);
}

/// The polynomials of a lane's N channels in one interval.
template <int N>
struct PolynomialsOf {
    Pack<N> c[ORDER];

    __device__ __forceinline__ void load_from(const Real* table, unsigned interval)
    {
        const Real* numbers = row_of<ORDER * FILTER_STRIDE>(table, interval);
#pragma unroll
        for (int power = 0; power < ORDER; ++power) {
            c[power] = load<N>(numbers + power * FILTER_STRIDE);
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

    /// W and dW/dt of channel v.
    __device__ __forceinline__ void value_and_slope(int v, Real t, Real& value, Real& slope) const
    {
        value = c[ORDER - 1].v[v];
        slope = value;
#pragma unroll
        for (int power = ORDER - 2; power >= 0; --power) {
            value = value * t + c[power].v[v];
            if (power > 0) {
                slope = slope * t + value;
            }
        }
    }
};

__device__ __forceinline__ const Real* block_y(const System& s, int block)
{
    return s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE;
}

using Polynomials = PolynomialsOf<LANE_CHANNELS>;

/// What a lane carries from pair to pair: the coefficients of the last one's interval. Pairs are taken N at a time, so that
/// several loads are under way before the first is used.
struct Filter {
    const Real* table;
    Polynomials polynomials;
    unsigned interval;

    __device__ __forceinline__ Filter(const System& s, int block, int channel) : table(block_table(s, block, channel)), interval(~0u) {}

    /// Those of one pair.
    __device__ __forceinline__ const Polynomials& at(const Edge& edge)
    {
        if (edge.interval != interval) {
            interval = edge.interval;
            polynomials.load_from(table, interval);
        }
        return polynomials;
    }
};

/// Adds y ∘ W of N pairs to the row's sum.
template <int N>
__device__ __forceinline__ void receive_pairs(const Edge* pairs, const Real* y, Filter& filter, Channels& sum)
{
    Channels other[N];
    Edge edge[N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
        edge[k] = pairs[k];
        other[k] = load<LANE_CHANNELS>(row_of<FILTER_STRIDE>(y, edge[k].other));
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
        const Polynomials& w = filter.at(edge[k]);
#pragma unroll
        for (int v = 0; v < LANE_CHANNELS; ++v) {
            sum.v[v] += other[k].v[v] * w.value(v, edge[k].t);
        }
    }
}

/// m = Σ y ∘ W.
KERNEL(receive, ROW_THREADS, ROW_BLOCKS)
{
    __shared__ Edge staged[ROW_THREADS];
    const Place place(s, s.owned);
    const Real* y = kept(block_y(s, block) + place.some_channel());
    const Edge* edges = s.edges + place.first;
    const Edge* group = staged + threadIdx.x / GROUP * GROUP;
    const int member = threadIdx.x % GROUP;
    const int most = longest(place.count);
    Filter filter(s, block, place.some_channel());
    Channels sum = {};
    Edge next = {};
    if (member < place.count) {
        next = edges[member];
    }
    for (int batch = 0; batch < most; batch += GROUP) {
        __syncwarp();
        staged[threadIdx.x] = next;
        __syncwarp();
        if (batch + GROUP + member < place.count) {
            next = edges[batch + GROUP + member];
        }
        const int here = place.count - batch < GROUP ? place.count - batch : GROUP;
        int first = 0;
        for (; first + AHEAD <= here; first += AHEAD) {
            receive_pairs<AHEAD>(group + first, y, filter, sum);
        }
        for (; first < here; ++first) {
            receive_pairs<1>(group + first, y, filter, sum);
        }
    }
    if (place.there) {
        place.put(s, sum);
    }
}

/// A lane's share of a row on the way back: its numbers, and what its pairs add up to.
template <bool VIRIALS>
struct Sender {
    Channels y = {};
    Channels g = {};
    Channels sum = {};
    Pull<VIRIALS> pull;
};

/// Adds g ∘ W of N pairs to the row's sum, and what pulls at it.
template <int N, bool VIRIALS>
__device__ __forceinline__ void send_pairs(const Edge* pairs, const Arm* arms, const Real* y, const Real* g, Filter& filter,
    Sender<VIRIALS>& own)
{
    Edge edge[N];
    Channels other_y[N];
    Channels other_g[N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
        edge[k] = pairs[k];
        other_y[k] = load<LANE_CHANNELS>(row_of<FILTER_STRIDE>(y, edge[k].other));
        other_g[k] = load<LANE_CHANNELS>(row_of<FILTER_STRIDE>(g, edge[k].other));
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
        const Polynomials& w = filter.at(edge[k]);
        Real total = 0;
#pragma unroll
        for (int v = 0; v < LANE_CHANNELS; ++v) {
            Real value;
            Real slope;
            w.value_and_slope(v, edge[k].t, value, slope);
            const Real gradient = other_g[k].v[v];
            total += (gradient * own.y.v[v] + own.g.v[v] * other_y[k].v[v]) * slope;
            own.sum.v[v] += gradient * value;
        }
        own.pull.add(arms[k], total);
    }
}

/// dE/dy = Σ g ∘ W of a row, and the force on it by both directions of its pairs.
template <bool VIRIALS>
__device__ __forceinline__ void send_rows(const System& s, int block)
{
    __shared__ Edge staged[ROW_THREADS];
    __shared__ Arm staged_arms[ROW_THREADS];
    const Place place(s, s.rows);
    const Real* y = kept(block_y(s, block) + place.some_channel());
    const Real* g = kept(s.g + place.some_channel());
    const Edge* edges = s.edges + place.first;
    const Arm* arms = s.arms + place.first;
    const int base = threadIdx.x / GROUP * GROUP;
    const int member = threadIdx.x % GROUP;
    const int most = longest(place.count);
    const unsigned long long at = static_cast<unsigned long long>(place.some_row()) * FILTER_STRIDE;
    Filter filter(s, block, place.some_channel());
    // Zero where there is no channel, so that nothing is added to the forces.
    Sender<VIRIALS> own;
    if (place.there) {
        own.y = load<LANE_CHANNELS>(y + at);
        own.g = load<LANE_CHANNELS>(g + at);
    }
    Edge next = {};
    Arm next_arm = {};
    if (member < place.count) {
        next = edges[member];
        next_arm = arms[member];
    }
    for (int batch = 0; batch < most; batch += GROUP) {
        __syncwarp();
        staged[threadIdx.x] = next;
        staged_arms[threadIdx.x] = next_arm;
        __syncwarp();
        if (batch + GROUP + member < place.count) {
            next = edges[batch + GROUP + member];
            next_arm = arms[batch + GROUP + member];
        }
        const int here = place.count - batch < GROUP ? place.count - batch : GROUP;
        int first = 0;
        for (; first + AHEAD_BACK <= here; first += AHEAD_BACK) {
            send_pairs<AHEAD_BACK>(staged + base + first, staged_arms + base + first, y, g, filter, own);
        }
        for (; first < here; ++first) {
            send_pairs<1>(staged + base + first, staged_arms + base + first, y, g, filter, own);
        }
    }
    if (block > 0 && place.there) {
        place.put(s, own.sum);
    }
    own.pull.template finish<GROUP>(s, static_cast<unsigned long long>(blockIdx.y) * s.rows + place.row,
        place.row < s.rows, block == BLOCKS - 1);
}

KERNEL(send, ROW_THREADS, ROW_BLOCKS) { send_rows<false>(s, block); }
KERNEL(send_virials, ROW_THREADS, ROW_BLOCKS) { send_rows<true>(s, block); }
