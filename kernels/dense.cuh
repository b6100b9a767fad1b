// Affine layers on rows of features: a team of threads takes a few rows through a chain of them, in its own part of shared memory.
//
// Where there is room, the layers' matrices go through shared memory too, brought there ahead of their use: every warp takes some
// rows through them, or, where rows are few, a block shares out the products of a few rows. Else every team reads them where
// they are.

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

/// The matrix of a layer, or its transpose: K rows of N numbers, a multiple of 4 of them.
template <class Layer_, bool TRANSPOSED>
struct Matrix {
    using Layer = Layer_;
    static constexpr int K = ((TRANSPOSED ? Layer::OUTPUTS : Layer::INPUTS) + 3) / 4 * 4;
    static constexpr int N = padded(TRANSPOSED ? Layer::INPUTS : Layer::OUTPUTS);
    /// Where it is in the weights.
    static constexpr int AT = TRANSPOSED ? Layer::TRANSPOSED : Layer::WEIGHT;
};

/// Copies 16 bytes to shared memory, some time before `copied`.
__device__ __forceinline__ void copy_ahead(Real* to, const Real* from)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to))),
        "l"(from)
        : "memory");
#else
    store(to, load<16 / sizeof(Real)>(from));
#endif
}

/// Ends a group of copies.
__device__ __forceinline__ void end_copies()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits for this thread's copies, but for LATER groups of them.
template <int LATER>
__device__ __forceinline__ void copied()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LATER) : "memory");
#endif
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

/// Some columns of a result.
using Columns = Pack<DENSE_COLUMNS>;

/// Sums over K of products of ROWS rows with a matrix, 4 inputs at a time from `first` on, each `step` after the last.
template <int ROWS, int WIDTH, int COLUMNS, class M>
__device__ __forceinline__ void accumulate(
    Real (&sum)[ROWS][COLUMNS], const Real* in, const Real* matrix, int column, int first, int step)
{
#pragma unroll 1
    for (int k = first; k < M::K; k += step) {
        Pack<COLUMNS> b[4];
#pragma unroll
        for (int part = 0; part < 4; ++part) {
            b[part] = load<COLUMNS>(matrix + (k + part) * M::N + column);
        }
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            const Pack<4> a = load<4>(in + row * WIDTH + k);
#pragma unroll
            for (int part = 0; part < 4; ++part) {
#pragma unroll
                for (int v = 0; v < COLUMNS; ++v) {
                    sum[row][v] += a.v[part] * b[part].v[v];
                }
            }
        }
    }
}

/// The same from memory, where loads have to be under way well ahead.
template <int ROWS, int WIDTH, int COLUMNS, class M>
__device__ __forceinline__ void accumulate_far(Real (&sum)[ROWS][COLUMNS], const Real* in, const Real* matrix, int column)
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

/// Rows on their way through the layers of a kernel, which `Layers` names in their order. A team has ROWS of them, WIDTH apart, and
/// KEPT numbers a row to itself; the block has SLOTS places of SLOT numbers for matrices, or none.
template <class Layers, int ROWS_, int WIDTH, int KEPT, int SLOTS, int SLOT>
struct Chain {
    static constexpr int ROWS = ROWS_;
    static constexpr bool STAGED = SLOTS > 0;
    /// Whether a block takes its rows through together, by shares of inputs.
    static constexpr bool SHARED_OUT = STAGED && DENSE_TEAM > WARP;
    /// Results go over inputs where all threads are done with these before the first result is there.
    static constexpr int BUFFERS = STAGED ? 1 : 2;

    const System& s;
    const int block;
    unsigned first;
    unsigned count;
    Real* stage;
    Real* in;
    Real* out;
    Real* kept;
    /// Sums over shares of inputs.
    Real* shares;

    /// Begins to bring the first matrices.
    __device__ __forceinline__ Chain(const System& s, int block) : s(s), block(block)
    {
        SHARED(Real, memory);
        const int team = threadIdx.x / DENSE_TEAM;
        first = (blockIdx.x * (blockDim.x / DENSE_TEAM) + team) * ROWS;
        const unsigned left = first < s.owned ? s.owned - first : 0;
        count = left < ROWS ? left : ROWS;
        stage = memory;
        in = memory + SLOTS * SLOT + team * (ROWS * (BUFFERS * WIDTH + KEPT));
        out = STAGED ? in : in + ROWS * WIDTH;
        kept = in + BUFFERS * ROWS * WIDTH;
        shares = kept + ROWS * KEPT;
        bring_first<0>();
    }

    __device__ __forceinline__ static int member() { return threadIdx.x % DENSE_TEAM; }

    /// Waits for the team, which is a warp or the block.
    __device__ __forceinline__ static void sync()
    {
        if constexpr (DENSE_TEAM == WARP) {
            __syncwarp();
        } else {
            __syncthreads();
        }
    }

    template <int NUMBER>
    __device__ __forceinline__ void bring() const
    {
        if constexpr (NUMBER < Layers::COUNT) {
            using M = typename Layers::template At<NUMBER>;
            const Real* from = Layers::template weights<NUMBER>(s, block) + M::AT;
            Real* to = stage + NUMBER % SLOTS * SLOT;
            constexpr int EACH = 16 / sizeof(Real);
            for (int at = EACH * threadIdx.x; at < M::K * M::N; at += EACH * blockDim.x) {
                copy_ahead(to + at, from + at);
            }
        }
        end_copies();
    }

    template <int NUMBER>
    __device__ __forceinline__ void bring_first() const
    {
        if constexpr (NUMBER < SLOTS) {
            bring<NUMBER>();
            bring_first<NUMBER + 1>();
        }
    }

    /// Brings the rows of a matrix, or of the sum of COUNT of them, to where the first layer takes them; zeros for rows that are
    /// not there.
    template <int STRIDE, int COUNT>
    __device__ __forceinline__ void fetch(const Real* from)
    {
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            for (int column = 4 * member(); column < STRIDE; column += 4 * DENSE_TEAM) {
                Pack<4> pack = {};
                if (row < count) {
                    Pack<4> parts[COUNT];
#pragma unroll
                    for (int part = 0; part < COUNT; ++part) {
                        const unsigned long long at = static_cast<unsigned long long>(part) * s.rows + first + row;
                        parts[part] = load<4>(from + at * STRIDE + column);
                    }
#pragma unroll
                    for (int part = 0; part < COUNT; ++part) {
#pragma unroll
                        for (int v = 0; v < 4; ++v) {
                            pack.v[v] += parts[part].v[v];
                        }
                    }
                }
                store(in + row * WIDTH + column, pack);
            }
        }
        sync();
    }

    /// Multiplies the rows by matrix NUMBER. `done` gets some columns of the result of one row at a time, and puts into `out` what
    /// is to be the next one's input.
    template <int NUMBER, class Done>
    __device__ __forceinline__ void product(Done done)
    {
        using M = typename Layers::template At<NUMBER>;
        if constexpr (!STAGED) {
            const Real* matrix = Layers::template weights<NUMBER>(s, block) + M::AT;
            for (int column = DENSE_COLUMNS * member(); column < M::N; column += DENSE_COLUMNS * DENSE_TEAM) {
                Real sum[ROWS][DENSE_COLUMNS] = {};
                accumulate_far<ROWS, WIDTH, DENSE_COLUMNS, M>(sum, in, matrix, column);
                hand_over(sum, column, done);
            }
            sync();
        } else {
            // One group of copies for every matrix before this and every slot.
            copied<SLOTS - 1>();
            __syncthreads();
            const Real* matrix = stage + NUMBER % SLOTS * SLOT;
            if constexpr (SHARED_OUT) {
                product_of_shares<M>(matrix, done);
            } else {
                product_of_warp<M>(matrix, done);
            }
            if constexpr (NUMBER + SLOTS < Layers::COUNT && !SHARED_OUT) {
                __syncthreads();
            }
            bring<NUMBER + SLOTS>();
        }
        Real* const before = in;
        in = out;
        out = before;
    }

    /// Results of all rows.
    template <class Done>
    __device__ __forceinline__ void hand_over(const Real (&sum)[ROWS][DENSE_COLUMNS], int column, Done done) const
    {
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            Columns columns;
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                columns.v[v] = sum[row][v];
            }
            done(row, column, columns);
        }
    }

    /// By a warp: every lane has some columns of all rows.
    template <class M, class Done>
    __device__ __forceinline__ void product_of_warp(const Real* matrix, Done done) const
    {
        static_assert(M::N <= DENSE_COLUMNS * WARP, "a lane has its columns at once");
        const int column = DENSE_COLUMNS * lane_id();
        Real sum[ROWS][DENSE_COLUMNS] = {};
        if (count > 0 && column < M::N) {
            accumulate<ROWS, WIDTH, DENSE_COLUMNS, M>(sum, in, matrix, column, 0, 4);
        }
        __syncwarp();
        if (count > 0 && column < M::N) {
            hand_over(sum, column, done);
        }
        __syncwarp();
    }

    /// By a block: every thread has 4 columns of all rows and a share of the inputs; then some columns of a row.
    template <class M, class Done>
    __device__ __forceinline__ void product_of_shares(const Real* matrix, Done done) const
    {
        constexpr int GROUPS = M::N / 4;
        static_assert(GROUPS <= DENSE_THREADS, "a share is one thread for every 4 columns");
        constexpr int MOST = DENSE_THREADS / GROUPS;
        constexpr int SHARES = MOST < M::K / 4 ? MOST : M::K / 4;
        const int share = threadIdx.x / GROUPS;
        if (share < SHARES) {
            const int column = 4 * (threadIdx.x % GROUPS);
            Real sum[ROWS][4] = {};
            accumulate<ROWS, WIDTH, 4, M>(sum, in, matrix, column, 4 * share, 4 * SHARES);
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                store(shares + (share * ROWS + row) * M::N + column, Pack<4>{{sum[row][0], sum[row][1], sum[row][2], sum[row][3]}});
            }
        }
        __syncthreads();
        constexpr int EACH = M::N / DENSE_COLUMNS;
        for (int part = threadIdx.x; part < ROWS * EACH; part += DENSE_THREADS) {
            const int row = part / EACH;
            const int column = part % EACH * DENSE_COLUMNS;
            Columns all = {};
#pragma unroll
            for (int from = 0; from < SHARES; ++from) {
                const Columns one = load<DENSE_COLUMNS>(shares + (from * ROWS + row) * M::N + column);
#pragma unroll
                for (int v = 0; v < DENSE_COLUMNS; ++v) {
                    all.v[v] += one.v[v];
                }
            }
            done(row, column, all);
        }
        __syncthreads();
    }
};
