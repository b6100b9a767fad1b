// Sums of what several blocks have of an atom (see kernels/mutual.cu).

/// Adds up what blocks have of messages, or of dE/dy, into the first matrix.
KERNEL(merge, START_THREADS, 1)
{
    constexpr unsigned FOURS = FILTER_STRIDE / 4;
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned row = at / FOURS;
    if (row >= s.rows) {
        return;
    }
    const Bands bands(s, s.structure[row]);
    const unsigned parts = bands.parts(s, bands.of(row));
    Real* own = s.m + static_cast<unsigned long long>(row) * FILTER_STRIDE + 4 * (at % FOURS);
    Pack<4> sum = load<4>(own);
    for (unsigned part = 1; part < parts; ++part) {
        const Pack<4> next = load<4>(own + static_cast<unsigned long long>(part) * s.rows * FILTER_STRIDE);
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            sum.v[v] += next.v[v];
        }
    }
    store(own, sum);
}

/// The same of forces and virials.
KERNEL(merge_pulls, START_THREADS, 1)
{
    const unsigned width = s.virials != nullptr ? 9 : 3;
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned row = at / width;
    if (row >= s.rows) {
        return;
    }
    const Bands bands(s, s.structure[row]);
    const unsigned parts = bands.parts(s, bands.of(row));
    double sum = 0;
    for (unsigned part = 0; part < parts; ++part) {
        sum += s.pulls[static_cast<unsigned long long>(part) * s.rows * width + at];
    }
    const unsigned number = at % width;
    if (number < 3) {
        s.forces[3ull * row + number] = sum;
    } else {
        s.virials[6ull * row + number - 3] = sum;
    }
}
