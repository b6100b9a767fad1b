// Affine layers on rows of features: a warp takes a few rows through a chain of them, in its own part of shared memory.

/// Weights of an interaction block.
__device__ __forceinline__ const Real* block_weights(const System& s, int block)
{
    return s.weights + (SHARED_BLOCKS ? 0 : block) * BLOCK_WEIGHTS;
}

__device__ constexpr int padded(int width) { return (width + ROW_PAD - 1) / ROW_PAD * ROW_PAD; }

/// Multiplies ROWS rows, WIDTH apart in shared memory, by a layer or its transpose. `done` gets four columns of the results
/// of all rows at a time; it must not write to `in`.
template <int ROWS, int WIDTH, class Layer, bool TRANSPOSED, class Done>
__device__ __forceinline__ void product(const Real* in, const Real* weights, Done done)
{
    constexpr int K = TRANSPOSED ? Layer::OUTPUTS : Layer::INPUTS;
    constexpr int N = padded(TRANSPOSED ? Layer::INPUTS : Layer::OUTPUTS);
    const Real* matrix = weights + (TRANSPOSED ? Layer::TRANSPOSED : Layer::WEIGHT);
    for (int column = 4 * lane_id(); column < N; column += 4 * WARP) {
        Real sum[ROWS][4] = {};
#pragma unroll 1
        for (int k = 0; k < K; k += 4) {
            Pack<4> b[4];
#pragma unroll
            for (int step = 0; step < 4; ++step) {
                b[step] = load<4>(matrix + (k + step) * N + column);
            }
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                const Pack<4> a = load<4>(in + row * WIDTH + k);
#pragma unroll
                for (int step = 0; step < 4; ++step) {
#pragma unroll
                    for (int v = 0; v < 4; ++v) {
                        sum[row][v] += a.v[step] * b[step].v[v];
                    }
                }
            }
        }
        done(column, sum);
    }
    __syncwarp();
}

/// The bias of a layer in column `column` and the three after it.
template <class Layer>
__device__ __forceinline__ Pack<4> bias(const Real* weights, int column)
{
    if constexpr (Layer::BIAS >= 0) {
        return load<4>(weights + Layer::BIAS + column);
    } else {
        return {};
    }
}

/// Copies rows `first` to `first + count` of a matrix to shared memory; zeros for rows that are not there.
template <int ROWS, int WIDTH, int STRIDE>
__device__ __forceinline__ void fetch(const Real* from, unsigned first, unsigned count, Real* to)
{
#pragma unroll
    for (int row = 0; row < ROWS; ++row) {
        for (int column = 4 * lane_id(); column < STRIDE; column += 4 * WARP) {
            Pack<4> pack = {};
            if (row < count) {
                pack = load<4>(from + static_cast<unsigned long long>(first + row) * STRIDE + column);
            }
            store(to + row * WIDTH + column, pack);
        }
    }
    __syncwarp();
}

/// The rows a warp of the dense kernels works on.
struct RowGroup {
    unsigned first;
    unsigned count;

    __device__ __forceinline__ explicit RowGroup(const System& s)
    {
        first = (blockIdx.x * (blockDim.x / WARP) + warp_id()) * DENSE_ROWS;
        const unsigned left = first < s.owned ? s.owned - first : 0;
        count = left < DENSE_ROWS ? left : DENSE_ROWS;
    }
};
