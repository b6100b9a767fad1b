// Atoms by the bins of their structure, and excluded partners by their atoms, in which kernels/neighbors.cu looks.

/// The least or the largest of a block's numbers, to all its threads.
template <bool LEAST>
__device__ __forceinline__ double block_extreme(double value, double* memory)
{
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        const double other = __shfl_xor_sync(FULL, value, step);
        value = (other < value) == LEAST ? other : value;
    }
    __syncthreads();
    if (lane_id() == 0) {
        memory[warp_id()] = value;
    }
    __syncthreads();
    for (int warp = 0; warp < BOUNDS_THREADS / WARP; ++warp) {
        value = (memory[warp] < value) == LEAST ? memory[warp] : value;
    }
    return value;
}

/// The bins of a structure, a block a structure; and zeros to count from.
KERNEL(bounds, BOUNDS_THREADS, 1)
{
    __shared__ double memory[BOUNDS_THREADS / WARP];
    if (!finds(s)) {
        return;
    }
    const unsigned structure = blockIdx.x;
    const unsigned first = s.structures[structure];
    const unsigned last = s.structures[structure + 1];
    const Frame f = frame_of(s, structure);
    double low[3] = {LARGEST, LARGEST, LARGEST};
    double high[3] = {-LARGEST, -LARGEST, -LARGEST};
    // Of the terms of coordinates, for how far they may be rounded.
    double largest[3] = {0.0, 0.0, 0.0};
    for (unsigned atom = first + threadIdx.x; atom < last; atom += blockDim.x) {
        s.counts[0][atom] = 0;
        s.counts[1][atom] = 0;
#pragma unroll
        for (int c = 0; c < 3; ++c) {
            double x = 0.0;
            double terms = 0.0;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                const double term = f.dual[c][axis] * s.positions[3ull * atom + axis];
                x += term;
                terms += fabs(term);
            }
            low[c] = x < low[c] ? x : low[c];
            high[c] = x > high[c] ? x : high[c];
            largest[c] = terms > largest[c] ? terms : largest[c];
        }
    }
    Grid grid;
    double limit[3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        low[c] = block_extreme<true>(low[c], memory);
        high[c] = block_extreme<false>(high[c], memory);
        largest[c] = block_extreme<false>(largest[c], memory);
        const double extent = f.periodic[c] ? 1.0 : high[c] - low[c];
        const double width = (f.periodic[c] ? f.steps[c] : s.reach) * (1.0 + 1e-9) + 1e-9 + 1e-14 * largest[c];
        grid.low[c] = f.periodic[c] ? 0.0 : low[c];
        limit[c] = extent;
        const double count = extent / width;
        grid.dims[c] = last - first <= FEW || !(count >= 1.0) ? 1 : static_cast<int>(count < 1048576.0 ? count : 1048576.0);
    }
    grid.unused = 0;
    // Wider bins where there would be more of them than atoms.
    while (static_cast<double>(grid.dims[0]) * grid.dims[1] * grid.dims[2] > last - first
        && grid.dims[0] + grid.dims[1] + grid.dims[2] > 3) {
        const bool second = grid.dims[1] > grid.dims[0];
        const int most = second ? grid.dims[1] : grid.dims[0];
        if (grid.dims[2] > most) {
            grid.dims[2] = (grid.dims[2] + 1) / 2;
        } else if (second) {
            grid.dims[1] = (grid.dims[1] + 1) / 2;
        } else {
            grid.dims[0] = (grid.dims[0] + 1) / 2;
        }
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        grid.inverse[c] = limit[c] > 0.0 ? grid.dims[c] / limit[c] : 0.0;
    }
    if (threadIdx.x == 0) {
        s.grids[structure] = grid;
    }
}

/// Counts the atoms of every bin, and the excluded partners of every atom.
KERNEL(bin, SEARCH_THREADS, 1)
{
    if (!finds(s)) {
        return;
    }
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < s.atoms) {
        const unsigned structure = s.structure[at];
        const Frame f = frame_of(s, structure);
        const Grid grid = s.grids[structure];
        unsigned number = 0;
#pragma unroll
        for (int c = 0; c < 3; ++c) {
            double x = 0.0;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                x += f.dual[c][axis] * s.positions[3 * at + axis];
            }
            x = f.periodic[c] ? x - floor(x) : x - grid.low[c];
            const double place = x * grid.inverse[c];
            const int last = grid.dims[c] - 1;
            const int own = place < last ? static_cast<int>(place) : last;
            number = number * grid.dims[c] + own;
        }
        number += s.structures[structure];
        s.bin[at] = number;
        atomicAdd(&s.counts[0][number], 1u);
    }
    if (at < s.excluded_count) {
        atomicAdd(&s.counts[1][s.excluded[2 * at]], 1u);
        atomicAdd(&s.counts[1][s.excluded[2 * at + 1]], 1u);
    }
}

/// The sum of a block's numbers, to all its threads.
__device__ __forceinline__ unsigned long long block_total(unsigned long long value, unsigned long long* memory)
{
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        value += __shfl_xor_sync(FULL, value, step);
    }
    __syncthreads();
    if (lane_id() == 0) {
        memory[warp_id()] = value;
    }
    __syncthreads();
    value = 0;
    for (int warp = 0; warp < SEARCH_THREADS / WARP; ++warp) {
        value += memory[warp];
    }
    return value;
}

/// Numbers that a block of `sum` and `spread` has to itself.
__device__ __forceinline__ void part(const System& s, unsigned number, unsigned& first, unsigned& last)
{
    const unsigned length = (s.atoms + gridDim.x - 1) / gridDim.x;
    first = number * length;
    first = first < s.atoms ? first : s.atoms;
    last = first + length < s.atoms ? first + length : s.atoms;
}

/// Sums of parts of an array of counts: number `block`, and with blocks of a second number those after it.
KERNEL(sum, SEARCH_THREADS, 1)
{
    __shared__ unsigned long long memory[SEARCH_THREADS / WARP];
    if (!finds(s)) {
        return;
    }
    const unsigned array = block + blockIdx.y;
    unsigned first;
    unsigned last;
    part(s, blockIdx.x, first, last);
    unsigned long long own = 0;
    for (unsigned at = first + threadIdx.x; at < last; at += blockDim.x) {
        own += s.counts[array][at];
    }
    const unsigned long long total = block_total(own, memory);
    if (threadIdx.x == 0) {
        s.sums[array][blockIdx.x] = total;
    }
}

/// From counts to where each begins. With one block alone, `sum` is not needed.
KERNEL(spread, SEARCH_THREADS, 1)
{
    __shared__ unsigned long long memory[SEARCH_THREADS / WARP];
    __shared__ bool state[2];
    const unsigned array = block + blockIdx.y;
    const bool list = array == 2;
    unsigned first;
    unsigned last;
    part(s, blockIdx.x, first, last);
    const bool begins = blockIdx.x == 0 && threadIdx.x == 0;
    // One thread looks for all: the first block may report something while others are at it.
    if (threadIdx.x == 0) {
        state[0] = s.status->trouble != NOTHING;
        state[1] = s.status->stale != 0;
    }
    __syncthreads();
    // No list is better than a wrong one: what goes wrong leaves no pairs.
    bool none = state[0];
    if (!none && !state[1]) {
        return;
    }
    const bool failed = none;
    unsigned long long base = 0;
    unsigned long long total = 0;
    if (gridDim.x == 1) {
        unsigned long long own = 0;
        for (unsigned at = threadIdx.x; !none && at < s.atoms; at += blockDim.x) {
            own += s.counts[array][at];
        }
        total = block_total(own, memory);
    } else {
        unsigned long long before = 0;
        unsigned long long own = 0;
        for (unsigned at = threadIdx.x; !none && at < gridDim.x; at += blockDim.x) {
            const unsigned long long sum = s.sums[array][at];
            own += sum;
            before += at < blockIdx.x ? sum : 0;
        }
        total = block_total(own, memory);
        base = block_total(before, memory);
    }
    if (list) {
        none = none || total > s.room;
        base = none ? 0 : base;
    }
    for (unsigned start = first; start < last; start += blockDim.x) {
        const unsigned at = start + threadIdx.x;
        const unsigned long long count = at < last && !none ? s.counts[array][at] : 0;
        unsigned long long sum = count;
#pragma unroll
        for (int step = 1; step < WARP; step *= 2) {
            const unsigned long long below = __shfl_up_sync(FULL, sum, step);
            sum += lane_id() >= step ? below : 0;
        }
        __syncthreads();
        if (lane_id() == WARP - 1) {
            memory[warp_id()] = sum;
        }
        __syncthreads();
        unsigned long long before = 0;
        unsigned long long all = 0;
        for (int warp = 0; warp < SEARCH_THREADS / WARP; ++warp) {
            before += warp < warp_id() ? memory[warp] : 0;
            all += memory[warp];
        }
        if (at < last) {
            s.starts[array][at] = base + before + sum - count;
        }
        base += all;
    }
    if (begins) {
        s.starts[array][s.atoms] = none ? 0 : total;
        if (list && none) {
            s.status->stale = 1;
        }
        if (list && !failed) {
            s.status->pairs = total;
            if (none) {
                report(s, NO_ROOM, total);
            }
        }
    }
}

/// Atoms to their bins, and excluded partners to their atoms. Both in any order: nothing depends on it.
KERNEL(put, SEARCH_THREADS, 1)
{
    if (!finds(s)) {
        return;
    }
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < s.atoms) {
        const unsigned number = s.bin[at];
        s.members[s.starts[0][number] + atomicAdd(&s.counts[0][number], ~0u) - 1] = static_cast<unsigned>(at);
    }
    if (at < s.excluded_count) {
        for (int end = 0; end < 2; ++end) {
            const int own = s.excluded[2 * at + end];
            const int other = s.excluded[2 * at + 1 - end];
            s.partners[s.starts[1][own] + atomicAdd(&s.counts[1][own], ~0u) - 1] = static_cast<unsigned>(other);
        }
    }
}
