// Messages and their gradients with filters from tables: gather, filter, multiply and reduce.
//
// A few lanes take a row: GROUP lanes of LANE_CHANNELS channels each make a slice. PARTS such groups share a row's pairs where rows
// are few. The pairs are in the order of the intervals; a batch of them is loaded at once, well ahead, and handed around
// through shared memory.

using Channels = Pack<LANE_CHANNELS>;

/// The row, channels and pairs of a lane.
struct Place {
    unsigned row;
    int channel;
    /// Whether there is such a row and channel.
    bool there;
    /// Which of the groups that share the row.
    int part;
    /// The first pair, and how many: none if there is no such row.
    unsigned long long first;
    int count;

    __device__ __forceinline__ Place(const System& s, unsigned rows)
    {
        const unsigned group = threadIdx.x / GROUP;
        row = blockIdx.x * (blockDim.x / (GROUP * PARTS)) + group / PARTS;
        part = group % PARTS;
        channel = (blockIdx.y * GROUP + threadIdx.x % GROUP) * LANE_CHANNELS;
        there = row < rows && channel < FILTER_STRIDE;
        first = 0;
        count = 0;
        // All lanes of a group go through its pairs together, also those that have no channel.
        if (row < rows) {
            const int all = s.counts[row];
            const int begin = all * part / PARTS;
            first = s.starts[row] + begin;
            count = all * (part + 1) / PARTS - begin;
        }
    }

    /// The row, or one that there is.
    __device__ __forceinline__ unsigned some_row() const { return there ? row : 0; }
    __device__ __forceinline__ int some_channel() const { return there ? channel : 0; }
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

/// Adds the numbers of the groups that share a row, in their order, to the first of them.
template <int N>
__device__ __forceinline__ Pack<N> add_parts(Pack<N> sum, const Place& place, Real* memory)
{
    if constexpr (PARTS > 1) {
        __syncthreads();
        store(memory + threadIdx.x * N, sum);
        __syncthreads();
        if (place.part == 0) {
            for (int part = 1; part < PARTS; ++part) {
                const Pack<N> other = load<N>(memory + (threadIdx.x + part * GROUP) * N);
#pragma unroll
                for (int v = 0; v < N; ++v) {
                    sum.v[v] += other.v[v];
                }
            }
        }
    }
    return sum;
}

/// A block's table, from a lane's first channel on.
struct Table {
    const Stored* numbers;
    /// By interval and power.
    const Real* factors;

    __device__ __forceinline__ Table(const System& s, int block, int channel)
    {
        const unsigned long long distinct = SHARED_BLOCKS ? 0 : block;
        numbers = kept(s.tables + distinct * (INTERVALS * ORDER * FILTER_STRIDE) + channel);
        factors = s.factors + distinct * (INTERVALS * ORDER);
    }
};

/// The polynomials of this lane's channels in one interval.
struct Polynomials {
    Channels c[ORDER];

    __device__ __forceinline__ void load_from(const Table& table, unsigned interval)
    {
        const Stored* numbers = row_of<ORDER * FILTER_STRIDE>(table.numbers, interval);
        const Real* factors = HALF ? row_of<ORDER>(table.factors, interval) : nullptr;
#pragma unroll
        for (int power = 0; power < ORDER; ++power) {
            c[power] = load_stored<LANE_CHANNELS>(numbers + power * FILTER_STRIDE, HALF ? factors[power] : Real(1));
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

/// What a lane carries from pair to pair: the coefficients of the last one's interval. Pairs are taken N at a time, so that
/// several loads are under way before the first is used.
struct Filter {
    Table table;
    Polynomials polynomials;
    unsigned interval;

    __device__ __forceinline__ Filter(const System& s, int block, int channel) : table(s, block, channel), interval(~0u) {}

    /// Those of N pairs, where all are loaded ahead.
    template <int N>
    __device__ __forceinline__ void fetch(const Edge (&edges)[N], Polynomials (&all)[N]) const
    {
#pragma unroll
        for (int k = 0; k < N; ++k) {
            all[k].load_from(table, edges[k].interval);
        }
    }

    /// That of one pair, where they are kept from pair to pair.
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
    Polynomials ahead[REUSE ? 1 : N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
        edge[k] = pairs[k];
        other[k] = load<LANE_CHANNELS>(row_of<FILTER_STRIDE>(y, edge[k].other));
    }
    if constexpr (!REUSE) {
        filter.fetch(edge, ahead);
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
        const Polynomials& w = REUSE ? filter.at(edge[k]) : ahead[REUSE ? 0 : k];
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
    SHARED(Real, memory);
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
    sum = add_parts(sum, place, memory);
    if (place.there && place.part == 0) {
        store(s.m + static_cast<unsigned long long>(place.row) * FILTER_STRIDE + place.channel,
            table_scaled(s, block, place.channel, sum));
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
    Polynomials ahead[REUSE ? 1 : N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
        edge[k] = pairs[k];
        other_y[k] = load<LANE_CHANNELS>(row_of<FILTER_STRIDE>(y, edge[k].other));
        other_g[k] = load<LANE_CHANNELS>(row_of<FILTER_STRIDE>(g, edge[k].other));
    }
    if constexpr (!REUSE) {
        filter.fetch(edge, ahead);
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
        const Polynomials& w = REUSE ? filter.at(edge[k]) : ahead[REUSE ? 0 : k];
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
    SHARED(Real, memory);
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
        own.y = table_scaled(s, block, place.channel, load<LANE_CHANNELS>(y + at));
        own.g = table_scaled(s, block, place.channel, load<LANE_CHANNELS>(g + at));
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
    own.sum = add_parts(own.sum, place, memory);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        own.pull.force[axis] = add_parts(Pack<1>{{own.pull.force[axis]}}, place, memory).v[0];
    }
    if constexpr (VIRIALS) {
#pragma unroll
        for (int part = 0; part < 6; ++part) {
            own.pull.virial[part] = add_parts(Pack<1>{{own.pull.virial[part]}}, place, memory).v[0];
        }
    }
    if (block > 0 && place.there && place.part == 0) {
        store(s.m + at + place.channel, table_scaled(s, block, place.channel, own.sum));
    }
    own.pull.template finish<GROUP>(s, static_cast<unsigned long long>(blockIdx.y) * s.rows + place.row,
        place.row < s.rows && place.part == 0, block == BLOCKS - 1);
}

KERNEL(send, ROW_THREADS, ROW_BLOCKS) { send_rows<false>(s, block); }
KERNEL(send_virials, ROW_THREADS, ROW_BLOCKS) { send_rows<true>(s, block); }
