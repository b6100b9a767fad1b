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
        numbers = s.tables + distinct * (INTERVALS * ORDER * FILTER_STRIDE) + channel;
        factors = s.factors + distinct * (INTERVALS * ORDER);
    }
};

/// The polynomials of this lane's channels in one interval.
struct Polynomials {
    Channels c[ORDER];

    __device__ __forceinline__ void load_from(const Table& table, int interval)
    {
#pragma unroll
        for (int power = 0; power < ORDER; ++power) {
            const int row = interval * ORDER + power;
            Real factor = 1;
            if constexpr (HALF) {
                factor = table.factors[row];
            }
            c[power] = load_stored<LANE_CHANNELS>(table.numbers + row * FILTER_STRIDE, factor);
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

/// m = Σ y ∘ W.
KERNEL(receive, ROW_THREADS, ROW_BLOCKS)
{
    __shared__ Edge staged[ROW_THREADS];
    SHARED(Real, memory);
    const Place place(s, s.owned);
    const Table table(s, block, place.some_channel());
    const Real* y = block_y(s, block) + place.some_channel();
    const Edge* edges = s.edges + place.first;
    const Edge* group = staged + threadIdx.x / GROUP * GROUP;
    const int member = threadIdx.x % GROUP;
    const int most = longest(place.count);
    Channels sum = {};
    Polynomials filter[REUSE ? 1 : AHEAD] = {};
    int interval = -1;
    Edge next = {place.some_row(), 0, 0};
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
        const int here = most - batch < GROUP ? most - batch : GROUP;
        for (int first = 0; first < here; first += AHEAD) {
            // Several loads are under way before the first is used.
            Channels other[AHEAD];
            Edge edge[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                edge[k] = group[(first + k) % GROUP];
                other[k] = load<LANE_CHANNELS>(y + static_cast<unsigned long long>(edge[k].other) * FILTER_STRIDE);
                if constexpr (!REUSE) {
                    filter[k].load_from(table, edge[k].interval);
                }
            }
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                if (batch + first + k < place.count) {
                    if (REUSE && edge[k].interval != interval) {
                        interval = edge[k].interval;
                        filter[0].load_from(table, interval);
                    }
#pragma unroll
                    for (int v = 0; v < LANE_CHANNELS; ++v) {
                        sum.v[v] += other[k].v[v] * filter[REUSE ? 0 : k].value(v, edge[k].t);
                    }
                }
            }
        }
    }
    sum = add_parts(sum, place, memory);
    if (place.there && place.part == 0) {
        store(s.m + static_cast<unsigned long long>(place.row) * FILTER_STRIDE + place.channel,
            table_scaled(s, block, place.channel, sum));
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
    const Table table(s, block, place.some_channel());
    const Real* y = block_y(s, block) + place.some_channel();
    const Real* g = s.g + place.some_channel();
    const Edge* edges = s.edges + place.first;
    const Arm* arms = s.arms + place.first;
    const int base = threadIdx.x / GROUP * GROUP;
    const int member = threadIdx.x % GROUP;
    const int most = longest(place.count);
    const unsigned long long own = static_cast<unsigned long long>(place.some_row()) * FILTER_STRIDE;
    // Zero where there is no channel, so that nothing is added to the forces.
    Channels own_y = {};
    Channels own_g = {};
    if (place.there) {
        own_y = table_scaled(s, block, place.channel, load<LANE_CHANNELS>(y + own));
        own_g = table_scaled(s, block, place.channel, load<LANE_CHANNELS>(g + own));
    }
    Pull<VIRIALS> pull;
    Channels sum = {};
    Polynomials filter[REUSE ? 1 : AHEAD_BACK] = {};
    int interval = -1;
    Edge next = {place.some_row(), 0, 0};
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
        const int here = most - batch < GROUP ? most - batch : GROUP;
        for (int first = 0; first < here; first += AHEAD_BACK) {
            Edge edge[AHEAD_BACK];
            Channels other_y[AHEAD_BACK];
            Channels other_g[AHEAD_BACK];
#pragma unroll
            for (int k = 0; k < AHEAD_BACK; ++k) {
                edge[k] = staged[base + (first + k) % GROUP];
                const unsigned long long other = static_cast<unsigned long long>(edge[k].other) * FILTER_STRIDE;
                other_y[k] = load<LANE_CHANNELS>(y + other);
                other_g[k] = load<LANE_CHANNELS>(g + other);
                if constexpr (!REUSE) {
                    filter[k].load_from(table, edge[k].interval);
                }
            }
#pragma unroll
            for (int k = 0; k < AHEAD_BACK; ++k) {
                if (batch + first + k < place.count) {
                    if (REUSE && edge[k].interval != interval) {
                        interval = edge[k].interval;
                        filter[0].load_from(table, interval);
                    }
                    const Polynomials& w = filter[REUSE ? 0 : k];
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
                        slope += product * w.slope(v, powers);
                        sum.v[v] += gradient * w.value(v, t);
                    }
                    pull.add(staged_arms[base + first + k], slope);
                }
            }
        }
    }
    sum = add_parts(sum, place, memory);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        pull.force[axis] = add_parts(Pack<1>{{pull.force[axis]}}, place, memory).v[0];
    }
    if constexpr (VIRIALS) {
#pragma unroll
        for (int part = 0; part < 6; ++part) {
            pull.virial[part] = add_parts(Pack<1>{{pull.virial[part]}}, place, memory).v[0];
        }
    }
    if (block > 0 && place.there && place.part == 0) {
        store(s.m + own + place.channel, table_scaled(s, block, place.channel, sum));
    }
    pull.template finish<GROUP>(s, static_cast<unsigned long long>(blockIdx.y) * s.rows + place.row,
        place.row < s.rows && place.part == 0, block == BLOCKS - 1);
}

KERNEL(send, ROW_THREADS, ROW_BLOCKS) { send_rows<false>(s, block); }
KERNEL(send_virials, ROW_THREADS, ROW_BLOCKS) { send_rows<true>(s, block); }
