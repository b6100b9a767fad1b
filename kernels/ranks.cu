// Distances where rows are few: the pairs of a row by a block at once, in the order that geometry.cu has them in.

/// Candidates of a thread; a row with more than fit in a block is sorted as elsewhere, by one of its warps.
constexpr int RANK_EACH = 2;
constexpr int RANK_MOST = RANK_EACH * RANK_THREADS;
static_assert(BINS <= RANK_MOST, "a thread has as many bins as candidates");

/// From how many pairs there are in every bin to where it begins, its end being where the next one does; returns all there are.
__device__ __forceinline__ unsigned begin_bins(unsigned* bins)
{
    __shared__ unsigned sums[RANK_THREADS / WARP];
    unsigned count[RANK_EACH];
    unsigned own = 0;
#pragma unroll
    for (int k = 0; k < RANK_EACH; ++k) {
        const int bin = RANK_EACH * threadIdx.x + k;
        count[k] = bin < BINS ? bins[bin] : 0;
        own += count[k];
    }
    unsigned sum = own;
#pragma unroll
    for (int step = 1; step < WARP; step *= 2) {
        const unsigned below = __shfl_up_sync(FULL, sum, step);
        sum += lane_id() >= step ? below : 0;
    }
    if (lane_id() == WARP - 1) {
        sums[warp_id()] = sum;
    }
    __syncthreads();
    unsigned before = sum - own;
    unsigned all = 0;
#pragma unroll
    for (int warp = 0; warp < RANK_THREADS / WARP; ++warp) {
        before += warp < warp_id() ? sums[warp] : 0;
        all += sums[warp];
    }
#pragma unroll
    for (int k = 0; k < RANK_EACH; ++k) {
        const int bin = RANK_EACH * threadIdx.x + k;
        if (bin < BINS) {
            bins[bin] = before;
        }
        before += count[k];
    }
    if (threadIdx.x == 0) {
        bins[BINS] = all;
    }
    __syncthreads();
    return all;
}

/// A candidate of a row, as the thread has it that looks at it.
struct Candidate {
    unsigned number;
    unsigned other = 0;
    int interval = 0;
    bool within = false;
    double d[3] = {0.0, 0.0, 0.0};
    double r = 1.0;
    double t = 0.0;
    double rate = 1.0;

    /// That of a number, if there is one.
    __device__ __forceinline__ void look(const System& s, const Candidates& candidates, unsigned row, unsigned number_)
    {
        number = number_;
        if (number < candidates.count) {
            other = candidates.atom(s, row, number);
            difference(s, row, candidates.first + number, other, d);
            const double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            if (r2 < CUTOFF * CUTOFF) {
                within = true;
                r = sqrt(r2);
                place(r, interval, t, rate);
            }
        }
    }

    __device__ __forceinline__ int bin() const { return interval >> BIN_SHIFT; }

    /// Puts it behind so many others of the row.
    __device__ __forceinline__ void put(const System& s, const Candidates& candidates, unsigned row, unsigned others) const
    {
        if (r == 0.0) {
            atomicMin(s.coincident, (static_cast<unsigned long long>(row) << 32) | other);
        }
        store_pair(s, candidates.first + others, other, interval, t, rate / r, d);
    }
};

/// Pairs of a row with no more candidates than a warp has lanes, by one.
__device__ __forceinline__ void rank_by_warp(const System& s, const Candidates& candidates, unsigned row)
{
    Candidate own;
    own.look(s, candidates, row, lane_id());
    const unsigned key = own.within ? static_cast<unsigned>(own.bin()) * WARP + own.number : ~0u;
    unsigned before = 0;
    unsigned all = 0;
    for (unsigned lane = 0; lane < candidates.count; ++lane) {
        const unsigned other = __shfl_sync(FULL, key, static_cast<int>(lane));
        before += other < key ? 1 : 0;
        all += other != ~0u ? 1 : 0;
    }
    if (own.within) {
        own.put(s, candidates, row, before);
    }
    if (lane_id() == 0) {
        s.counts[row] = all;
    }
}

/// Features and pairs of one row, a block a row. Pairs come to their bins in any order, where each counts those before it.
KERNEL(rank, RANK_THREADS, 1)
{
    __shared__ unsigned bins[BINS + 1];
    SHARED(unsigned, members);
    const unsigned row = blockIdx.x;
    const Candidates candidates(s, row);
    const bool few = candidates.count <= WARP;
    const bool alone = few || candidates.count > RANK_MOST;
    // The last warps have the features, the first may be the one that has the pairs.
    for (int column = 4 * (RANK_THREADS - 1 - threadIdx.x); column < 4 * START_COLUMNS; column += 4 * RANK_THREADS) {
        start_row(s, row, column);
    }
    if (alone) {
        if (threadIdx.x < WARP && few) {
            rank_by_warp(s, candidates, row);
        } else if (threadIdx.x < WARP) {
            sort_row(s, row, members);
        }
        return;
    }
    for (int bin = threadIdx.x; bin < BINS; bin += RANK_THREADS) {
        bins[bin] = 0;
    }
    __syncthreads();
    Candidate own[RANK_EACH];
    unsigned slot[RANK_EACH];
#pragma unroll
    for (int k = 0; k < RANK_EACH; ++k) {
        own[k].look(s, candidates, row, threadIdx.x + k * RANK_THREADS);
        slot[k] = own[k].within ? atomicAdd(&bins[own[k].bin()], 1u) : 0;
    }
    __syncthreads();
    const unsigned all = begin_bins(bins);
#pragma unroll
    for (int k = 0; k < RANK_EACH; ++k) {
        if (own[k].within) {
            members[bins[own[k].bin()] + slot[k]] = own[k].number;
        }
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < RANK_EACH; ++k) {
        if (own[k].within) {
            const unsigned begin = bins[own[k].bin()];
            const unsigned end = bins[own[k].bin() + 1];
            unsigned before = begin;
            for (unsigned at = begin; at < end; ++at) {
                before += members[at] < own[k].number ? 1 : 0;
            }
            own[k].put(s, candidates, row, before);
        }
    }
    if (threadIdx.x == 0) {
        s.counts[row] = all;
    }
}
