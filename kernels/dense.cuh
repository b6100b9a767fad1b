// Affine layers on rows of features: a warp takes a few rows through a chain of them, in its own part of shared memory.

/// Weights of an interaction block.
__device__ __forceinline__ const Real* block_weights(const System& s, int block)
{
    return s.weights + (SHARED_BLOCKS ? 0 : block) * BLOCK_WEIGHTS;
}

__device__ constexpr int padded(int width) { return (width + ROW_PAD - 1) / ROW_PAD * ROW_PAD; }

/// The threads that take a few rows through the layers, and the columns each has at a time.
template <int THREADS_, int COLUMNS_>
struct Team {
    static constexpr int THREADS = THREADS_;
    static constexpr int COLUMNS = COLUMNS_;
    /// Columns of all of them.
    static constexpr int WIDTH = THREADS * COLUMNS;

    __device__ __forceinline__ static int member() { return threadIdx.x % THREADS; }

    /// A team that is not a warp is a whole block.
    __device__ __forceinline__ static void sync()
    {
        if constexpr (THREADS == WARP) {
            __syncwarp();
        } else {
            __syncthreads();
        }
    }
};

/// Multiplies ROWS rows, WIDTH apart in shared memory, by a layer or its transpose. `done` gets some columns of the results
/// of all rows at a time; it must not write to `in`.
template <class Team, int ROWS, int WIDTH, class Layer, bool TRANSPOSED, class Done>
__device__ __forceinline__ void product(const Real* in, const Real* weights, Done done)
{
    constexpr int COLUMNS = Team::COLUMNS;
    constexpr int K = TRANSPOSED ? Layer::OUTPUTS : Layer::INPUTS;
    constexpr int N = padded(TRANSPOSED ? Layer::INPUTS : Layer::OUTPUTS);
    // Rows of weights whose loads are under way at once; there is a multiple of 4 of them.
    constexpr int STEP = COLUMNS > 1 ? 4 : K % 32 == 0 ? 32 : K % 16 == 0 ? 16 : 4;
    const Real* matrix = weights + (TRANSPOSED ? Layer::TRANSPOSED : Layer::WEIGHT);
    for (int column = COLUMNS * Team::member(); column < N; column += Team::WIDTH) {
        Real sum[ROWS][COLUMNS] = {};
        Pack<COLUMNS> b[STEP];
#pragma unroll
        for (int step = 0; step < STEP; ++step) {
            b[step] = load<COLUMNS>(matrix + step * N + column);
        }
#pragma unroll 1
        for (int k = 0; k < K; k += STEP) {
            Pack<COLUMNS> next[STEP];
            // The last time around, these are loaded again for nothing.
            const int after = k + STEP < K ? k + STEP : k;
#pragma unroll
            for (int step = 0; step < STEP; ++step) {
                next[step] = load<COLUMNS>(matrix + (after + step) * N + column);
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
        done(column, sum);
    }
    Team::sync();
}

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

/// Copies rows `first` to `first + count` of a matrix to shared memory; zeros for rows that are not there.
template <class Team, int ROWS, int WIDTH, int STRIDE>
__device__ __forceinline__ void fetch(const Real* from, unsigned first, unsigned count, Real* to)
{
#pragma unroll
    for (int row = 0; row < ROWS; ++row) {
        for (int column = 4 * Team::member(); column < STRIDE; column += 4 * Team::THREADS) {
            Pack<4> pack = {};
            if (row < count) {
                pack = load<4>(from + static_cast<unsigned long long>(first + row) * STRIDE + column);
            }
            store(to + row * WIDTH + column, pack);
        }
    }
    Team::sync();
}

/// The teams of the dense kernels.
using Dense = Team<DENSE_TEAM, DENSE_COLUMNS>;
using Columns = Pack<DENSE_COLUMNS>;

/// The rows a team works on, and its part of the block's shared memory.
struct RowGroup {
    unsigned first;
    unsigned count;
    int team;

    __device__ __forceinline__ explicit RowGroup(const System& s)
    {
        team = threadIdx.x / DENSE_TEAM;
        first = (blockIdx.x * (blockDim.x / DENSE_TEAM) + team) * DENSE_ROWS;
        const unsigned left = first < s.owned ? s.owned - first : 0;
        count = left < DENSE_ROWS ? left : DENSE_ROWS;
    }
};
