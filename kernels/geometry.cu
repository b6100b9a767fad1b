// Distances, once a step: the candidates within the cutoff, and what all blocks need of their geometry.

/// Where a distance lies in the tables: interval and position in one number, and its derivative. Without tables the
/// position is the distance, and intervals only bring like distances together.
__device__ __forceinline__ void place(double r, int& interval, double& t, double& rate)
{
    if constexpr (!TABLE) {
        interval = static_cast<int>(r * (BINS / CUTOFF));
        interval = interval < BINS ? interval : BINS - 1;
        t = r;
        rate = 1.0;
        return;
    }
    double x = SPACING_LINEAR * r;
    rate = SPACING_LINEAR;
    if constexpr (SPACING_DECAYING > 0) {
        const double decay = exp(-SPACING_RATE * r);
        x += SPACING_DECAYING * (1.0 - decay);
        rate += SPACING_DECAYING * SPACING_RATE * decay;
    }
    interval = static_cast<int>(x);
    interval = interval < INTERVALS ? interval : INTERVALS - 1;
    t = x - interval;
}

/// Atoms that may be in reach of a row's: those of its list, or without one the others of its structure.
struct Candidates {
    /// The place of the first, and of the row's pairs.
    unsigned long long first;
    unsigned count;
    /// The structure's first atom.
    unsigned begin;

    __device__ __forceinline__ Candidates(const System& s, unsigned row) : first(s.starts[row]), begin(0)
    {
        if (s.candidates != nullptr) {
            count = static_cast<unsigned>(s.starts[row + 1] - first);
            return;
        }
        const unsigned structure = s.structure[row];
        begin = s.structures[structure];
        const unsigned end = s.structures[structure + 1];
        // A host may say what cannot be, which others report.
        count = begin <= row && row < end ? end - begin - 1 : 0;
    }

    /// That of a number, in the order of atoms.
    __device__ __forceinline__ unsigned atom(const System& s, unsigned row, unsigned number) const
    {
        if (s.candidates != nullptr) {
            return s.candidates[first + number];
        }
        const unsigned other = begin + number;
        return other < row ? other : other + 1;
    }
};

/// The vector from a row's atom to a candidate, whose place is `at`.
__device__ __forceinline__ void difference(
    const System& s, unsigned row, unsigned long long at, unsigned other, double (&d)[3])
{
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        d[axis] = s.positions[3ull * other + axis] - s.positions[3ull * row + axis];
    }
    if (s.shifts != nullptr) {
        const double* cell = s.cells + 9ull * s.structure[row];
#pragma unroll
        for (int vector = 0; vector < 3; ++vector) {
            const double steps = s.shifts[3 * at + vector];
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                d[axis] += steps * cell[3 * vector + axis];
            }
        }
    }
}

/// Puts what all blocks need of a pair to its place.
__device__ __forceinline__ void store_pair(const System& s, unsigned long long to, unsigned other, int interval, double t,
    double scale, const double (&d)[3])
{
    Edge edge;
    edge.other = s.owners != nullptr ? s.owners[other] : other;
    edge.interval = static_cast<unsigned>(interval);
    edge.t = static_cast<Real>(t);
    s.edges[to] = edge;
    Arm arm;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        arm.direction[axis] = static_cast<Real>(scale * d[axis]);
    }
    arm.inverse = static_cast<Real>(1.0 / scale);
    s.arms[to] = arm;
}

/// Puts down where a row's spans begin, and where the last one ends. Those of a structure that is too large for shared memory are empty.
__device__ __forceinline__ void store_spans(const System& s, unsigned row, const unsigned* bins, unsigned total)
{
    const unsigned structure = s.structure[row];
    const bool held = s.structures[structure + 1] - s.structures[structure] <= s.held;
    for (int span = lane_id(); span <= SPANS; span += WARP) {
        s.spans[static_cast<unsigned long long>(row) * (SPANS + 1) + span] =
            held && span < SPANS ? bins[span_bound(span)] : total;
    }
}

/// Pairs of one row by a warp, in the order of their bins and within one in the order of the list. `bins` has `count` numbers, which
/// are left as the ends of the bins; `bin_of` makes one of the other atom and the interval, negative for a pair that is not to
/// be there, `begun` is told of all pairs' number when `bins` are where each begins, and `put` stores a pair.
template <class BinOf, class Begun, class Put>
__device__ __forceinline__ void sort_row_by(
    const System& s, unsigned row, unsigned* bins, int count, const BinOf& bin_of,
    const Begun& begun, const Put& put)
{
    const int lane = lane_id();
    const Candidates candidates(s, row);
    const unsigned long long first = candidates.first;

    for (int bin = lane; bin < count; bin += WARP) {
        bins[bin] = 0;
    }
    __syncwarp();
    for (unsigned base = 0; base < candidates.count; base += WARP) {
        const unsigned at = base + lane;
        if (at < candidates.count) {
            const unsigned other = candidates.atom(s, row, at);
            double d[3];
            difference(s, row, first + at, other, d);
            const double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            if (r2 < CUTOFF * CUTOFF) {
                int interval = 0;
                double t;
                double rate;
                place(sqrt(r2), interval, t, rate);
                const int bin = bin_of(other, interval);
                if (bin >= 0) {
                    atomicAdd(&bins[bin], 1u);
                }
            }
        }
    }
    __syncwarp();

    // From counts to where each bin begins.
    unsigned total = 0;
    for (int base = 0; base < count; base += WARP) {
        const unsigned own = bins[base + lane];
        unsigned sum = own;
#pragma unroll
        for (int step = 1; step < WARP; step *= 2) {
            const unsigned below = __shfl_up_sync(FULL, sum, step);
            sum += lane >= step ? below : 0;
        }
        bins[base + lane] = total + sum - own;
        total += __shfl_sync(FULL, sum, WARP - 1);
    }
    __syncwarp();
    begun(total);

    for (unsigned base = 0; base < candidates.count; base += WARP) {
        const unsigned at = base + lane;
        bool within = false;
        unsigned other = 0;
        int interval = 0;
        int bin = -1;
        double d[3] = {0.0, 0.0, 0.0};
        double r = 0.0;
        double t = 0.0;
        double rate = 1.0;
        if (at < candidates.count) {
            other = candidates.atom(s, row, at);
            difference(s, row, first + at, other, d);
            const double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            r = sqrt(r2);
            if (r2 < CUTOFF * CUTOFF) {
                place(r, interval, t, rate);
                bin = bin_of(other, interval);
                within = bin >= 0;
            }
        }
        // Lanes of one bin take its next places in their order.
        const unsigned key = within ? static_cast<unsigned>(bin) : static_cast<unsigned>(count + lane);
        const unsigned peers = __match_any_sync(FULL, key);
        const unsigned rank = __popc(peers & ((1u << lane) - 1));
        if (within) {
            if (r == 0.0) {
                atomicMin(s.coincident, (static_cast<unsigned long long>(row) << 32) | other);
            }
            put(first + bins[bin] + rank, other, interval, r, t, rate, d);
        }
        __syncwarp();
        if (within && rank == 0) {
            bins[bin] += __popc(peers);
        }
        __syncwarp();
    }
}

/// All pairs of one row in the order of the tables' intervals: neighbouring pairs then use the same coefficients. `bins` are BINS
/// numbers.
__device__ __forceinline__ void sort_row(const System& s, unsigned row, unsigned* bins)
{
    sort_row_by(
        s, row, bins, BINS, [](unsigned, int interval) { return interval >> BIN_SHIFT; },
        [&](unsigned total) {
            if constexpr (SPANS > 0) {
                store_spans(s, row, bins, total);
                __syncwarp();
            }
        },
        [&](unsigned long long to, unsigned other, int interval, double r, double t, double rate, const double(&d)[3]) {
            store_pair(s, to, other, interval, t, rate / r, d);
        });
    if (lane_id() == 0) {
        s.counts[row] = bins[BINS - 1];
    }
}

/// Pairs of a row, a warp a row.
KERNEL(geometry, GEOMETRY_THREADS, 1)
{
    SHARED(unsigned, memory);
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + warp_id();
    if (row < s.rows) {
        sort_row(s, row, memory + warp_id() * BINS);
    }
}
