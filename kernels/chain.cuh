// Affine layers on rows of features by ordinary arithmetic: a team of threads takes a few rows through a chain of them, in its own
// part of shared memory, and reads matrices where they are.

/// Rows on their way through the layers of a kernel, which `Layers` names in their order. A team has ROWS of them, WIDTH apart, and
/// KEPT numbers a row to itself.
template <class Layers, int ROWS_, int WIDTH, int KEPT>
struct Chain {
    static constexpr int ROWS = ROWS_;

    const System& s;
    const int block;
    unsigned first;
    unsigned count;
    Real* in;
    Real* out;
    Real* kept;

    __device__ __forceinline__ Chain(const System& s, int block) : s(s), block(block)
    {
        SHARED(Real, memory);
        const int team = threadIdx.x / DENSE_TEAM;
        first = (blockIdx.x * (blockDim.x / DENSE_TEAM) + team) * ROWS;
        const unsigned left = first < s.owned ? s.owned - first : 0;
        count = left < ROWS ? left : ROWS;
        in = memory + team * (ROWS * (2 * WIDTH + KEPT));
        out = in + ROWS * WIDTH;
        kept = out + ROWS * WIDTH;
    }

    /// The atom whose row it is.
    __device__ __forceinline__ unsigned long long atom(int row) const { return static_cast<unsigned long long>(first) + row; }

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
                    pack = sum_of_parts<STRIDE, COUNT>(s, from, first + row, column);
                }
                store(in + row * WIDTH + column, pack);
            }
        }
        sync();
    }

    /// Lets every row begin anew with one number, which `value` says.
    template <class Value>
    __device__ __forceinline__ void begin(Value value)
    {
        if (member() < ROW_PAD) {
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                in[row * WIDTH + member()] = member() == 0 && row < count ? value(row) : Real(0);
            }
        }
        sync();
    }

    /// Multiplies the rows by matrix NUMBER. `done` gets some columns of the product of one row at a time, and the layer's bias, and
    /// returns what the next layer is to get. It also gets what `before` has returned for the same columns.
    template <int NUMBER, class Before, class Done>
    __device__ __forceinline__ void product(Before before, Done done)
    {
        product<NUMBER>([&](int row, int column, const Columns& sum, const Columns& b) {
            return done(row, column, sum, b, row < count ? before(atom(row), column) : Columns{});
        });
    }

    template <int NUMBER, class Done>
    __device__ __forceinline__ void product(Done done)
    {
        results<NUMBER>([&](int row, int column, const Columns& sum, const Columns& b) {
            store(out + row * WIDTH + column, done(row, column, sum, b));
        });
        sync();
        Real* const before = in;
        in = out;
        out = before;
    }

    /// The same where nothing comes after it.
    template <int NUMBER, class Done>
    __device__ __forceinline__ void last(Done done)
    {
        results<NUMBER>(done);
        // Before anything begins anew.
        sync();
    }

    template <int NUMBER, class Done>
    __device__ __forceinline__ void results(Done done) const
    {
        using M = typename Layers::template At<NUMBER>;
        const Real* weights = Layers::template weights<NUMBER>(s, block);
        for (int column = DENSE_COLUMNS * member(); column < M::N; column += DENSE_COLUMNS * DENSE_TEAM) {
            const Columns b = M::offset(weights, column);
            Real sum[ROWS][DENSE_COLUMNS] = {};
            accumulate<ROWS, WIDTH, DENSE_COLUMNS, M>(sum, in, weights + M::AT, column);
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                Columns columns;
#pragma unroll
                for (int v = 0; v < DENSE_COLUMNS; ++v) {
                    columns.v[v] = sum[row][v];
                }
                done(row, column, columns, b);
            }
        }
    }
};
