// Pairs that are nearer than all spans, where a structure has spans: each once for both directions.
//
// Tables have coefficients enough that fetching them would take most of the time. So the near pairs of a whole structure are in one order,
// by intervals: a warp has an interval's coefficients in registers, and the next one's under way, and goes through all pairs that lie
// in it. What comes to both atoms of a pair is added up in shared memory, in a copy that each part of a block has to itself: nobody else writes there,
// so that sums have one order. Slopes need no sums over pairs, and are put where kernels/slopes.cu has both directions of a distant pair.

/// Intervals of the table before the first span.
constexpr int NEAR = span_bound(0);
/// Channels of a block. Two slices of a pair's slope take the places of its two directions.
constexpr int NEAR_WIDTH = SPAN_WIDTH / 2;
/// Channels of a lane where it adds up slopes; and warps that have the block's channels between them where they add up messages.
constexpr int NEAR_CHANNELS = NEAR_WIDTH / WARP;
constexpr int NEAR_PARTS = NEAR_WIDTH / WARP;
using NearChannels = Pack<NEAR_CHANNELS>;

/// A pair.
struct alignas(8) NearPair {
    /// Numbers of its atoms in the structure, 16 bits each, the lower one first.
    unsigned atoms;
    /// Position in the interval.
    float t;

    __device__ __forceinline__ unsigned one() const { return atoms >> 16; }
    __device__ __forceinline__ unsigned two() const { return atoms & 0xffffu; }
};

/// The first pair of those in one interval.
struct alignas(8) NearRun {
    unsigned begin;
    unsigned interval;
};
/// A structure has as many: runs, at least two that begin nowhere, and one that says how many pairs there are.
constexpr int NEAR_RUNS = NEAR + 3;
constexpr unsigned NOWHERE = ~0u;

/// The near pairs of a structure.
struct NearPairs {
    NearPair* pairs;
    /// The same in no order.
    NearPair* draft;
    NearRun* runs;
    /// What there is room for.
    unsigned room;

    __device__ __forceinline__ NearPairs(const System& s, const SpanWork& work)
    {
        // The list has both directions of every pair.
        const unsigned long long first = s.starts[work.structure_first] / 2;
        pairs = s.near + first;
        draft = s.near_draft + first;
        runs = s.near_runs + static_cast<unsigned long long>(blockIdx.x) * NEAR_RUNS;
        room = static_cast<unsigned>(s.starts[work.structure_first + work.rows] / 2 - first);
    }

    __device__ __forceinline__ unsigned count() const { return runs[NEAR_RUNS - 1].begin; }
};

/// Calls `visit` with each near pair of the block's structure, and its interval.
template <class Visit>
__device__ __forceinline__ void each_near_pair(const System& s, const SpanWork& work, const Visit& visit)
{
    for (unsigned local = warp_id(); local < work.rows; local += blockDim.x / WARP) {
        const unsigned row = work.structure_first + local;
        const Edge* edges = s.edges + s.starts[row];
        const unsigned count = s.spans[static_cast<unsigned long long>(row) * (SPANS + 1)];
        for (unsigned at = lane_id(); at < count; at += WARP) {
            const Edge edge = edges[at];
            const unsigned other = edge.other - work.structure_first;
            // Others report a list that is another structure's.
            if (other > local && other < work.rows && edge.interval < static_cast<unsigned>(NEAR)) {
                visit(NearPair{local << 16 | other, edge.t}, edge.interval);
            }
        }
    }
}

/// Puts a structure's near pairs in order: of intervals, and in one of their atoms. A block a structure.
KERNEL(order_near, SPAN_THREADS, 1)
{
    SHARED(unsigned, bins);
    const SpanWork work(s);
    if (work.rows == 0 || work.rows > s.held) {
        return;
    }
    const NearPairs near(s, work);
    for (int bin = threadIdx.x; bin <= NEAR; bin += blockDim.x) {
        bins[bin] = 0;
    }
    for (int run = threadIdx.x; run < NEAR_RUNS; run += blockDim.x) {
        near.runs[run] = {NOWHERE, 0};
    }
    __syncthreads();
    // An interval's pairs are counted behind it, so that sums are where each begins.
    each_near_pair(s, work, [&](const NearPair&, unsigned interval) { atomicAdd(&bins[interval + 1], 1u); });
    __syncthreads();
    if (warp_id() == 0) {
        const int lane = lane_id();
        unsigned total = 0;
        unsigned runs = 0;
        for (int base = 0; base <= NEAR; base += WARP) {
            const int bin = base + lane;
            unsigned sum = bin <= NEAR ? bins[bin] : 0;
#pragma unroll
            for (int step = 1; step < WARP; step *= 2) {
                const unsigned below = __shfl_up_sync(FULL, sum, step);
                sum += lane >= step ? below : 0;
            }
            sum += total;
            const bool some = bin < NEAR && bins[bin + 1] > 0;
            const unsigned all = __ballot_sync(FULL, some);
            if (some) {
                near.runs[runs + __popc(all & ((1u << lane) - 1))] = {sum, static_cast<unsigned>(bin)};
            }
            __syncwarp();
            if (bin <= NEAR) {
                bins[bin] = sum;
            }
            __syncwarp();
            runs += __popc(all);
            total = __shfl_sync(FULL, sum, WARP - 1);
        }
        if (lane == 0) {
            near.runs[NEAR_RUNS - 1] = {total < near.room ? total : near.room, 0};
        }
    }
    __syncthreads();
    each_near_pair(s, work, [&](const NearPair& pair, unsigned interval) {
        const unsigned at = atomicAdd(&bins[interval], 1u);
        if (at < near.room) {
            near.draft[at] = pair;
        }
    });
    __syncthreads();
    // Now every interval has where it ends.
    for (int bin = warp_id(); bin < NEAR; bin += static_cast<int>(blockDim.x) / WARP) {
        const unsigned begin = bin > 0 ? bins[bin - 1] : 0;
        const unsigned end = bins[bin] < near.room ? bins[bin] : near.room;
        for (unsigned at = begin + lane_id(); at < end; at += WARP) {
            const NearPair own = near.draft[at];
            unsigned before = begin;
            for (unsigned other = begin; other < end; ++other) {
                before += near.draft[other].atoms < own.atoms ? 1 : 0;
            }
            near.pairs[before] = own;
        }
    }
}

/// Copies a block's channels of a structure's rows to shared memory. All THREADS take part, and may read them after the next barrier.
template <int THREADS>
__device__ __forceinline__ void hold_near(float* to, const float* matrix, const SpanWork& work, int slice)
{
    constexpr unsigned FOURS = NEAR_WIDTH / 4;
    // Loaded at once: several, well ahead of their use.
    constexpr unsigned AT_ONCE = 8;
    const unsigned count = work.rows * FOURS;
    for (unsigned begin = threadIdx.x; begin < count; begin += AT_ONCE * THREADS) {
        Pack<4> numbers[AT_ONCE];
#pragma unroll
        for (unsigned k = 0; k < AT_ONCE; ++k) {
            const unsigned at = begin + k * THREADS < count ? begin + k * THREADS : begin;
            numbers[k] = load<4>(row_of<FILTER_STRIDE>(matrix, work.structure_first + at / FOURS) + slice * NEAR_WIDTH + 4 * (at % FOURS));
        }
#pragma unroll
        for (unsigned k = 0; k < AT_ONCE; ++k) {
            if (begin + k * THREADS < count) {
                store(to + 4 * (begin + k * THREADS), numbers[k]);
            }
        }
    }
}

/// A run's coefficients, with those of the next under way.
struct NearFilter {
    const Real* table;
    const NearRun* run;
    /// Where the run ends.
    unsigned end;
    NearRun next;
    PolynomialsOf<1> here;
    PolynomialsOf<1> ahead;

    /// The run that has pair `at`.
    __device__ __forceinline__ NearFilter(const Real* table_, const NearRun* runs, unsigned at) : table(table_)
    {
        unsigned before = 0;
        for (int base = 0; base < NEAR_RUNS - 1; base += WARP) {
            const int number = base + lane_id();
            before += __popc(__ballot_sync(FULL, number < NEAR_RUNS - 1 && runs[number].begin <= at));
        }
        run = runs + (before > 0 ? before - 1 : 0);
        here.load_from(table, run[0].interval);
        ahead.load_from(table, run[1].interval);
        end = run[1].begin;
        next = run[2];
    }

    /// Goes on to pair `at`.
    __device__ __forceinline__ void go_to(unsigned at)
    {
        if (at == end) {
            here = ahead;
            ahead.load_from(table, next.interval);
            end = next.begin;
            ++run;
            // The last one begins nowhere, and has nothing behind it.
            next = next.begin == NOWHERE ? next : run[2];
        }
    }
};

/// A pair as a warp takes it: where its atoms' rows begin in a matrix in shared memory.
struct alignas(16) NearStep {
    unsigned one;
    unsigned two;
    float t;
    unsigned unused;
};

/// 32 pairs in a warp's part of shared memory, and which of them have no atoms in common.
struct NearBatch {
    NearStep* steps;
    /// Bit k: pairs k and k + 1, and pairs k to k + 3.
    unsigned two;
    unsigned four;

    /// Puts down the pairs, of which each lane has one.
    __device__ __forceinline__ void set(const NearPair& own)
    {
        __syncwarp();
        steps[lane_id()] = {own.one() * NEAR_WIDTH, own.two() * NEAR_WIDTH, own.t, 0};
        const unsigned next = apart(own, 1);
        const unsigned second = apart(own, 2);
        two = next;
        four = next & next >> 1 & next >> 2 & second & second >> 1 & apart(own, 3);
        __syncwarp();
    }

    /// Which pairs have none in common with that `step` further.
    __device__ __forceinline__ static unsigned apart(const NearPair& own, int step)
    {
        NearPair other;
        other.atoms = __shfl_sync(FULL, own.atoms, (lane_id() + step) % WARP);
        const bool none = own.one() != other.one() && own.one() != other.two() && own.two() != other.one() && own.two() != other.two();
        return __ballot_sync(FULL, none && lane_id() + step < WARP);
    }
};

/// Adds N pairs without atoms in common, so that all is under way before the first of it is used.
template <int N>
__device__ __forceinline__ void add_near(const NearStep* steps, const PolynomialsOf<1>& w, const float* features, float* sums)
{
    NearStep step[N];
    float of[N][2];
    float to[N][2];
#pragma unroll
    for (int k = 0; k < N; ++k) {
        step[k] = steps[k];
        of[k][0] = features[step[k].one];
        of[k][1] = features[step[k].two];
        to[k][0] = sums[step[k].one];
        to[k][1] = sums[step[k].two];
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
        const float value = w.value(0, step[k].t);
        sums[step[k].one] = to[k][0] + of[k][1] * value;
        sums[step[k].two] = to[k][1] + of[k][0] * value;
    }
}

/// Sums of features ∘ W over the near pairs of a structure, to the first of the matrices that are added up.
__device__ __forceinline__ void gather_near(const System& s, int block, const float* matrix)
{
    SHARED(NearStep, steps);
    const SpanWork work(s);
    if (work.rows == 0 || work.rows > s.held) {
        return;
    }
    const int slice = blockIdx.y;
    const unsigned numbers = work.rows * NEAR_WIDTH;
    float* memory = reinterpret_cast<float*>(steps + NEAR_THREADS);
    float* sums = memory + numbers;
    // As many as there is room for: it is the structure that says in what order its sums are.
    constexpr unsigned MOST = NEAR_THREADS / NEAR_WIDTH;
    const unsigned fit = s.near_rows / work.rows - 1;
    const unsigned copies = fit < MOST ? fit : MOST;
    hold_near<NEAR_THREADS>(memory, matrix, work, slice);
    for (unsigned at = threadIdx.x; at < copies * numbers / 4; at += NEAR_THREADS) {
        store(sums + 4 * at, Pack<4>{});
    }
    __syncthreads();
    const unsigned copy = warp_id() / NEAR_PARTS;
    const NearPairs near(s, work);
    const unsigned all = near.count();
    const unsigned first = copy < copies ? all * copy / copies : 0;
    const unsigned end = copy < copies ? all * (copy + 1) / copies : 0;
    if (first < end) {
        const int lane = lane_id();
        const int channel = warp_id() % NEAR_PARTS * WARP + lane;
        const float* features = memory + channel;
        float* own = sums + copy * numbers + channel;
        NearFilter filter(block_table(s, block, slice * NEAR_WIDTH + channel), near.runs, first);
        NearBatch batch;
        batch.steps = steps + warp_id() * WARP;
        NearPair following = near.pairs[first + lane < end ? first + lane : first];
#pragma unroll 1
        for (unsigned begin = first; begin < end; begin += WARP) {
            batch.set(following);
            following = near.pairs[begin + WARP + lane < end ? begin + WARP + lane : begin];
            const unsigned stop = begin + WARP < end ? begin + WARP : end;
#pragma unroll 1
            for (unsigned at = begin; at < stop;) {
                filter.go_to(at);
                const unsigned number = at - begin;
                const unsigned left = (filter.end < stop ? filter.end : stop) - at;
                if (left >= 4 && (batch.four >> number & 1)) {
                    add_near<4>(batch.steps + number, filter.here, features, own);
                    at += 4;
                } else if (left >= 2 && (batch.two >> number & 1)) {
                    add_near<2>(batch.steps + number, filter.here, features, own);
                    at += 2;
                } else {
                    add_near<1>(batch.steps + number, filter.here, features, own);
                    ++at;
                }
            }
        }
    }
    __syncthreads();
    constexpr unsigned FOURS = NEAR_WIDTH / 4;
    for (unsigned at = threadIdx.x; at < numbers / 4; at += NEAR_THREADS) {
        Pack<4> sum = load<4>(sums + 4 * at);
        for (unsigned other = 1; other < copies; ++other) {
            const Pack<4> next = load<4>(sums + other * numbers + 4 * at);
#pragma unroll
            for (int v = 0; v < 4; ++v) {
                sum.v[v] += next.v[v];
            }
        }
        const unsigned long long row = work.structure_first + at / FOURS;
        store(s.m + row * FILTER_STRIDE + slice * NEAR_WIDTH + 4 * (at % FOURS), sum);
    }
}

/// m = Σ y ∘ W of near pairs.
KERNEL(receive_near, NEAR_THREADS, 1) { gather_near(s, block, block_y(s, block)); }

/// dE/dy = Σ g ∘ W of near pairs.
KERNEL(send_near, NEAR_THREADS, 1) { gather_near(s, block, s.g); }

/// Adds Σ (g y + y g) dW of this block's channels to what near pairs have.
KERNEL(slope_near, SPAN_THREADS, 1)
{
    SHARED(float, memory);
    const SpanWork work(s);
    if (work.rows == 0 || work.rows > s.held) {
        return;
    }
    const int slice = blockIdx.y;
    float* gradients = memory + work.rows * NEAR_WIDTH;
    hold_near<SPAN_THREADS>(memory, block_y(s, block), work, slice);
    hold_near<SPAN_THREADS>(gradients, s.g, work, slice);
    __syncthreads();
    const int lane = lane_id();
    const float* y = memory + lane * NEAR_CHANNELS;
    const float* g = gradients + lane * NEAR_CHANNELS;
    const Real* table = block_table(s, block, slice * NEAR_WIDTH + lane * NEAR_CHANNELS);
    const NearPairs near(s, work);
    const unsigned all = near.count();
    float* slopes = s.slopes + (static_cast<unsigned long long>(slice / 2) * s.rows + work.structure_first) * s.held;
    for (unsigned base = warp_id() * WARP; base < all; base += blockDim.x) {
        const bool there = base + lane < all;
        const NearPair own = near.pairs[there ? base + lane : base];
        // The run that has the lane's pair.
        int low = 0;
        for (int high = NEAR + 1; high - low > 1;) {
            const int middle = (low + high) / 2;
            if (near.runs[middle].begin <= base + lane) {
                low = middle;
            } else {
                high = middle;
            }
        }
        const unsigned interval = near.runs[low].interval;
        float* to = slopes + (slice % 2 == 0 ? own.one() * s.held + own.two() : own.two() * s.held + own.one());
        const float before = there && block < BLOCKS - 1 ? *to : 0.0f;
        float sum = 0;
        unsigned last = NOWHERE;
        PolynomialsOf<NEAR_CHANNELS> w;
#pragma unroll 1
        for (int four = 0; four < WARP; four += 4) {
            float parts[4];
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                NearPair pair;
                pair.atoms = __shfl_sync(FULL, own.atoms, four + k);
                pair.t = __shfl_sync(FULL, own.t, four + k);
                const unsigned now = __shfl_sync(FULL, interval, four + k);
                if (now != last) {
                    w.load_from(table, now);
                    last = now;
                }
                const unsigned one = pair.one() * NEAR_WIDTH;
                const unsigned two = pair.two() * NEAR_WIDTH;
                const NearChannels y_one = load<NEAR_CHANNELS>(y + one);
                const NearChannels y_two = load<NEAR_CHANNELS>(y + two);
                const NearChannels g_one = load<NEAR_CHANNELS>(g + one);
                const NearChannels g_two = load<NEAR_CHANNELS>(g + two);
                parts[k] = 0;
#pragma unroll
                for (int v = 0; v < NEAR_CHANNELS; ++v) {
                    float value;
                    float slope;
                    w.value_and_slope(v, pair.t, value, slope);
                    parts[k] += (g_two.v[v] * y_one.v[v] + g_one.v[v] * y_two.v[v]) * slope;
                }
            }
            float halves[2];
            float whole[1];
            fold<4, 16>(parts, halves);
            fold<2, 8>(halves, whole);
            for (int step = 4; step > 0; step /= 2) {
                whole[0] += __shfl_xor_sync(FULL, whole[0], step);
            }
            // To the lane that has the pair.
            const float given = __shfl_sync(FULL, whole[0], lane % 4 * 8);
            sum = lane / 4 == four / 4 ? given : sum;
        }
        if (there) {
            *to = before + sum;
        }
    }
}
