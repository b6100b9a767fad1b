// Distances where rows are few: the pairs of a row by a block at once, in the order that geometry.cu has them in.

/// Candidates of a thread; a row with more than fit in a block is sorted as elsewhere, by one of its warps.
constexpr int RANK_EACH = 2;
constexpr int RANK_MOST = RANK_EACH * RANK_THREADS;
constexpr unsigned NOWHERE = ~0u;

/// Pairs of one row, a block a row. A pair's place is the number of those before it, which every thread counts for its own.
KERNEL(rank, RANK_THREADS, 1)
{
    __shared__ unsigned counted;
    SHARED(unsigned, keys);
    const unsigned row = blockIdx.x;
    const unsigned long long first = s.starts[row];
    const int count = static_cast<int>(s.starts[row + 1] - first);
    if (count > RANK_MOST) {
        if (threadIdx.x < WARP) {
            sort_row(s, row, keys);
        }
        return;
    }
    if (threadIdx.x == 0) {
        counted = 0;
    }
    unsigned other[RANK_EACH];
    unsigned key[RANK_EACH];
    int interval[RANK_EACH];
    double d[RANK_EACH][3];
    double r[RANK_EACH];
    double t[RANK_EACH];
    double rate[RANK_EACH];
#pragma unroll
    for (int k = 0; k < RANK_EACH; ++k) {
        const int own = threadIdx.x + k * RANK_THREADS;
        other[k] = 0;
        key[k] = NOWHERE;
        interval[k] = 0;
        r[k] = 1.0;
        t[k] = 0.0;
        rate[k] = 1.0;
        if (own < count) {
            other[k] = s.candidates[first + own];
            difference(s, row, first + own, d[k]);
            const double r2 = d[k][0] * d[k][0] + d[k][1] * d[k][1] + d[k][2] * d[k][2];
            if (r2 < CUTOFF * CUTOFF) {
                r[k] = sqrt(r2);
                place(r[k], interval[k], t[k], rate[k]);
                key[k] = static_cast<unsigned>(interval[k] >> BIN_SHIFT) * RANK_MOST + own;
            }
        }
        keys[own] = key[k];
    }
    __syncthreads();
    unsigned within = 0;
#pragma unroll
    for (int k = 0; k < RANK_EACH; ++k) {
        if (key[k] == NOWHERE) {
            continue;
        }
        unsigned rank = 0;
#pragma unroll 4
        for (int at = 0; at < count; at += 4) {
            const uint4 four = *reinterpret_cast<const uint4*>(keys + at);
            rank += (four.x < key[k]) + (four.y < key[k]) + (four.z < key[k]) + (four.w < key[k]);
        }
        ++within;
        if (r[k] == 0.0) {
            atomicMin(s.coincident, (static_cast<unsigned long long>(row) << 32) | other[k]);
        }
        store_pair(s, first + rank, other[k], interval[k], t[k], rate[k] / r[k], d[k]);
    }
    const double all = group_sum<WARP>(within);
    if (lane_id() == 0) {
        atomicAdd(&counted, static_cast<unsigned>(all));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        s.counts[row] = counted;
    }
}
