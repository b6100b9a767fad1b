// Where the network begins: features by types.

/// Some columns of x⁰ and y⁰ of a row.
__device__ __forceinline__ void start_row(const System& s, unsigned long long row, int column)
{
    const unsigned type = s.types[row];
    if (row < s.owned && column < FEATURE_STRIDE) {
        store(s.x + row * FEATURE_STRIDE + column, load<4>(s.weights + EMBEDDING + type * FEATURE_STRIDE + column));
    }
    if (column < FILTER_STRIDE) {
        store(s.y + row * FILTER_STRIDE + column, load<4>(s.weights + FIRST_Y + type * FILTER_STRIDE + column));
    }
}

/// x⁰ and y⁰ of every row.
KERNEL(start, START_THREADS, 1)
{
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at / START_COLUMNS < s.rows) {
        start_row(s, at / START_COLUMNS, static_cast<int>(at % START_COLUMNS) * 4);
    }
}
