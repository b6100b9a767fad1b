// What the dense layers' kernels have in common: matrices, and where they are in the weights.

/// Weights of an interaction block.
__device__ __forceinline__ const Real* block_weights(const System& s, int block)
{
    return s.weights + (SHARED_BLOCKS ? 0 : block) * BLOCK_WEIGHTS;
}

__device__ constexpr int padded(int width) { return (width + ROW_PAD - 1) / ROW_PAD * ROW_PAD; }

/// One of two types.
template <bool FIRST, class A, class B>
struct Choice {
    using Type = A;
};
template <class A, class B>
struct Choice<false, A, B> {
    using Type = B;
};
template <bool FIRST, class A, class B>
using Choose = typename Choice<FIRST, A, B>::Type;

/// The bias of a layer in column `column` and those after it.
template <class Layer, int COLUMNS>
__device__ __forceinline__ Pack<COLUMNS> bias(const Real* weights, int column)
{
    if constexpr (Layer::BIAS >= 0) {
        return load<COLUMNS>(weights + Layer::BIAS + column);
    } else {
        return {};
    }
}

/// The matrix of a layer, or its transpose: K rows of N numbers, a multiple of 4 of them.
template <class Layer_, bool TRANSPOSED>
struct Matrix {
    using Layer = Layer_;
    static constexpr bool IS_TRANSPOSED = TRANSPOSED;
    static constexpr int K = ((TRANSPOSED ? Layer::OUTPUTS : Layer::INPUTS) + 3) / 4 * 4;
    static constexpr int N = padded(TRANSPOSED ? Layer::INPUTS : Layer::OUTPUTS);
    /// Where it is in the weights.
    static constexpr int AT = TRANSPOSED ? Layer::TRANSPOSED : Layer::WEIGHT;

    /// What is to be added to some columns of a product; nothing on the way back.
    __device__ __forceinline__ static Pack<DENSE_COLUMNS> offset(const Real* weights, int column)
    {
        if constexpr (TRANSPOSED) {
            return {};
        } else {
            return bias<Layer, DENSE_COLUMNS>(weights, column);
        }
    }
};

/// Some columns of a result.
using Columns = Pack<DENSE_COLUMNS>;

/// Sums over K of products of ROWS rows with a matrix in memory, where loads have to be under way well ahead.
template <int ROWS, int WIDTH, int COLUMNS, class M>
__device__ __forceinline__ void accumulate(Real (&sum)[ROWS][COLUMNS], const Real* in, const Real* matrix, int column)
{
    // Rows of weights whose loads are under way at once.
    constexpr int STEP = COLUMNS > 1 ? 4 : M::K % 32 == 0 ? 32 : M::K % 16 == 0 ? 16 : 4;
    Pack<COLUMNS> b[STEP];
#pragma unroll
    for (int step = 0; step < STEP; ++step) {
        b[step] = load<COLUMNS>(matrix + step * M::N + column);
    }
#pragma unroll 1
    for (int k = 0; k < M::K; k += STEP) {
        Pack<COLUMNS> next[STEP];
        // The last time around, these are loaded again for nothing.
        const int after = k + STEP < M::K ? k + STEP : k;
#pragma unroll
        for (int step = 0; step < STEP; ++step) {
            next[step] = load<COLUMNS>(matrix + (after + step) * M::N + column);
        }
#pragma unroll
        for (int part = 0; part < STEP; part += 4) {
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                const Pack<4> a = load<4>(in + row * WIDTH + k + part);
#pragma unroll
                for (int step = 0; step < 4; ++step) {
#pragma unroll
                    for (int v = 0; v < COLUMNS; ++v) {
                        sum[row][v] += a.v[step] * b[part + step].v[v];
                    }
                }
            }
        }
#pragma unroll
        for (int step = 0; step < STEP; ++step) {
            b[step] = next[step];
        }
    }
}

/// Four columns of a row of a matrix, or of the sum of COUNT of them.
template <int STRIDE, int COUNT>
__device__ __forceinline__ Pack<4> sum_of_parts(const System& s, const Real* from, unsigned row, int column)
{
    Pack<4> parts[COUNT];
#pragma unroll
    for (int part = 0; part < COUNT; ++part) {
        const unsigned long long at = static_cast<unsigned long long>(part) * s.rows + row;
        parts[part] = load<4>(from + at * STRIDE + column);
    }
    Pack<4> sum = parts[0];
#pragma unroll
    for (int part = 1; part < COUNT; ++part) {
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            sum.v[v] += parts[part].v[v];
        }
    }
    return sum;
}

/// A number of a matrix of rows.
__device__ __forceinline__ Real* at_row(Real* matrix, unsigned long long row, int stride, int column)
{
    return matrix + row * stride + column;
}
