// Affine layers on rows of features by tensor cores: a block takes a few rows through a chain of them.
//
// A warp has some columns of every result, for all rows: each number of a matrix goes to the registers of one warp of a block, from
// where it lies. Between two layers rows are in shared memory, as the two float16 numbers that each of their numbers is the sum of, and as
// products take them.

/// Rows that a product takes at once.
constexpr int ROW_TILE = 8;
static_assert(ROW_PAD == TILE, "what is between rows fills up a tile");

/// The largest of each of COUNT numbers over the 8 lanes that differ in bits 4, 8 and 16. Of those, each gets an equal share: number k of
/// it is number lane / 4 · COUNT / 8 + k, and where they are fewer than lanes several have the same.
template <int COUNT>
__device__ __forceinline__ void share_largest(float (&numbers)[COUNT])
{
    static_assert(COUNT == 2 || COUNT == 4 || COUNT == 8 || COUNT == 16, "they are halved");
    int left = COUNT;
#pragma unroll
    for (int bit = WARP / 2; bit >= 4; bit /= 2) {
        const bool upper = lane_id() & bit;
        left /= 2;
        if (left > 0) {
#pragma unroll
            for (int k = 0; k < COUNT / 2; ++k) {
                if (k < left) {
                    const float given = upper ? numbers[k] : numbers[k + left];
                    numbers[k] = fmaxf(upper ? numbers[k + left] : numbers[k], __shfl_xor_sync(FULL, given, bit));
                }
            }
        } else {
            numbers[0] = fmaxf(numbers[0], __shfl_xor_sync(FULL, numbers[0], bit));
        }
    }
}

/// A warp's part of a few tiles of a matrix: columns of the result by tiles of inputs.
template <int DEPTH, int EACH>
struct Weights {
    uint4 high[DEPTH][EACH];
    uint4 low[DEPTH][EACH];

    /// Those from tile `first` of STEPS on.
    template <int STEPS>
    __device__ __forceinline__ void bring(const uint4* from, int first)
    {
#pragma unroll
        for (int step = 0; step < DEPTH; ++step) {
            if (first + step < STEPS) {
#pragma unroll
                for (int each = 0; each < EACH; ++each) {
                    const uint4* at = from + ((first + step) * 2 + each) * (2 * WARP);
                    high[step][each] = at[0];
                    low[step][each] = at[WARP];
                }
            }
        }
    }
};

/// Rows on their way through the layers of a kernel, which `Layers` names in their order. A block has ROWS of them, at most WIDTH wide,
/// and KEPT numbers a row to itself.
template <class Layers, int ROWS_, int WIDTH, int KEPT>
struct Chain {
    static constexpr int ROWS = ROWS_;
    static constexpr int TILES = ROWS / ROW_TILE;
    static constexpr int WARPS = DENSE_THREADS / WARP;
    /// Tiles of a warp's columns: both of a group of 32, or one of them.
    static constexpr int EACH = DENSE_COLUMNS / 2;
    /// A lane's largest numbers, one a row, in a number of places that can be halved.
    static constexpr int MAXIMA = TILES == 1 ? 2 : TILES == 2 ? 4 : TILES <= 4 ? 8 : 16;
    /// Tiles of rows for which loads of what is added to or multiplied with results are under way at once.
    static constexpr int AHEAD_TILES = 2;
    /// Whether all lanes have columns of a matrix.
    template <class M>
    static constexpr bool FULL_WIDTH = M::N == WARPS * EACH * TILE;
    /// Sums of a warp: of each tile of rows and columns.
    using Sums = float[TILES][EACH][4];

    const System& s;
    const int block;
    unsigned first;
    int count;
    /// The lane's first column.
    int column;
    /// A lane's part of 16 × 8 inputs at once: two pairs of numbers, and of remainders.
    uint4* inputs;
    /// The largest number of each row among the columns of each warp, warp by warp.
    float* most;
    /// What undoes the scale of each row.
    float* down;
    Real* kept;
    Weights<DENSE_DEPTH, EACH> weights;

    /// Begins to bring the first matrix.
    __device__ __forceinline__ Chain(const System& s, int block) : s(s), block(block)
    {
        SHARED(uint4, memory);
        first = blockIdx.x * ROWS;
        const unsigned left = first < s.owned ? s.owned - first : 0;
        count = left < ROWS ? static_cast<int>(left) : ROWS;
        column = warp_id() * EACH / 2 * (2 * TILE) + lane_id() / 4 * 4 + warp_id() * EACH % 2 * 2;
        inputs = memory;
        most = reinterpret_cast<float*>(inputs + WIDTH / TILE * TILES * WARP);
        down = most + ROWS * WARPS;
        kept = down + ROWS;
        bring<0>();
    }

    /// The atom whose row it is.
    __device__ __forceinline__ unsigned long long atom(int row) const { return static_cast<unsigned long long>(first) + row; }

    /// Begins to bring matrix NUMBER.
    template <int NUMBER>
    __device__ __forceinline__ void bring()
    {
        using M = typename Layers::template At<NUMBER>;
        if (there<M>()) {
            weights.template bring<steps<M>()>(fragments<NUMBER>(), 0);
        }
    }

    /// Whether the warp has columns of a matrix.
    template <class M>
    __device__ __forceinline__ static bool there()
    {
        return FULL_WIDTH<M> || warp_id() * EACH / 2 * (2 * TILE) < M::N;
    }

    /// Whether the lane has.
    template <class M>
    __device__ __forceinline__ bool inside() const
    {
        return FULL_WIDTH<M> || column < M::N;
    }

    /// Tiles of its inputs.
    template <class M>
    __device__ static constexpr int steps()
    {
        return padded(M::K) / TILE;
    }

    /// Matrix NUMBER, from this lane's part of the warp's columns on.
    template <int NUMBER>
    __device__ __forceinline__ const uint4* fragments() const
    {
        using M = typename Layers::template At<NUMBER>;
        using Place = DenseFragments<typename M::Layer, M::IS_TRANSPOSED>;
        const int owner = SHARED_BLOCKS ? 0 : Layers::template owner<NUMBER>(block);
        const int group = warp_id() * EACH / 2;
        const int part = warp_id() * EACH % 2;
        return s.fragments + Place::AT + owner * Place::STEP + (group * steps<M>() * 2 + part) * (2 * WARP) + lane_id();
    }

    /// What undoes the scale of matrix NUMBER.
    template <int NUMBER>
    __device__ __forceinline__ Real scale() const
    {
        using M = typename Layers::template At<NUMBER>;
        using Place = DenseFragments<typename M::Layer, M::IS_TRANSPOSED>;
        return s.scales[Place::SCALE + (SHARED_BLOCKS ? 0 : Layers::template owner<NUMBER>(block)) * Place::SCALE_STEP];
    }

    /// The place of a lane's inputs, in an order in which those that store them do not get in each other's way.
    __device__ __forceinline__ uint4* place(int step, int tile, int lane) const
    {
        return inputs + (step * TILES + tile) * WARP + (lane ^ lane / 8 * 2);
    }

    /// Stores scaled numbers of row `row` of a tile as inputs of a product.
    template <int N>
    __device__ __forceinline__ void put(int tile, int row, int column, const Pack<N>& pack, float up)
    {
        static_assert(N == 2 || N == 4, "one or two pairs");
        unsigned high[N / 2];
        unsigned low[N / 2];
#pragma unroll
        for (int pair = 0; pair < N / 2; ++pair) {
            split(pack.v[2 * pair] * up, pack.v[2 * pair + 1] * up, high[pair], low[pair]);
        }
        uint4* at = place(column / TILE, tile, row * 4 + column % TILE / 4);
        if constexpr (N == 4) {
            *at = {high[0], high[1], low[0], low[1]};
        } else if (column % 4 == 0) {
            at->x = high[0];
            at->z = low[0];
        } else {
            at->y = high[0];
            at->w = low[0];
        }
    }

    /// Brings the rows of a matrix, or of the sum of COUNT of them, to where the first layer takes them; zeros for rows that are
    /// not there.
    template <int STRIDE, int COUNT>
    __device__ __forceinline__ void fetch(const Real* from)
    {
        constexpr int PACKS = (STRIDE + 4 * WARP - 1) / (4 * WARP);
        static_assert(PACKS <= 2, "rows are not too wide");
        // Rows whose loads are under way at once.
        constexpr int MOST = COUNT * PACKS < 8 ? 8 / (COUNT * PACKS) : 1;
        constexpr int AHEAD_ROWS = ROWS < MOST * WARPS ? (ROWS + WARPS - 1) / WARPS : MOST;
        for (int begin = warp_id(); begin < ROWS; begin += WARPS * AHEAD_ROWS) {
            Pack<4> packs[AHEAD_ROWS][PACKS] = {};
#pragma unroll
            for (int ahead = 0; ahead < AHEAD_ROWS; ++ahead) {
                const int row = begin + ahead * WARPS;
#pragma unroll
                for (int pack = 0; pack < PACKS; ++pack) {
                    const int column = 4 * (pack * WARP + lane_id());
                    if (row < count && column < STRIDE) {
                        packs[ahead][pack] = sum_of_parts<STRIDE, COUNT>(s, from, first + row, column);
                    }
                }
            }
#pragma unroll
            for (int ahead = 0; ahead < AHEAD_ROWS; ++ahead) {
                const int row = begin + ahead * WARPS;
                float own = largest(packs[ahead][0]);
                if constexpr (PACKS > 1) {
                    own = fmaxf(own, largest(packs[ahead][1]));
                }
#pragma unroll
                for (int bit = 1; bit < WARP; bit *= 2) {
                    own = fmaxf(own, __shfl_xor_sync(FULL, own, bit));
                }
                const Scale scale(own);
                if (row < ROWS) {
#pragma unroll
                    for (int pack = 0; pack < PACKS; ++pack) {
                        const int column = 4 * (pack * WARP + lane_id());
                        if (column < STRIDE) {
                            put(row / ROW_TILE, row % ROW_TILE, column, packs[ahead][pack], scale.up);
                        }
                    }
                    if (lane_id() == 0) {
                        down[row] = scale.down;
                    }
                }
            }
        }
        __syncthreads();
    }

    /// Lets every row begin anew with one number, which `value` says.
    template <class Value>
    __device__ __forceinline__ void begin(Value value)
    {
        for (int at = threadIdx.x; at < 4 * ROWS; at += DENSE_THREADS) {
            const int row = at / 4;
            const int quarter = at % 4;
            Pack<4> pack = {};
            if (quarter == 0 && row < count) {
                pack.v[0] = value(row);
            }
            const Scale scale(largest(pack));
            put(row / ROW_TILE, row % ROW_TILE, 4 * quarter, pack, scale.up);
            if (quarter == 0) {
                down[row] = scale.down;
            }
        }
        __syncthreads();
    }

    /// Multiplies the rows by matrix NUMBER. `done` gets some columns of the product of one row at a time, and the layer's bias, and
    /// returns what the next layer is to get. It also gets what `before` has returned for the same columns, which is asked for some rows
    /// at once.
    template <int NUMBER, class Before, class Done>
    __device__ __forceinline__ void product(Before before, Done done)
    {
        using M = typename Layers::template At<NUMBER>;
        Sums sums = {};
        float own[MAXIMA] = {};
        results<NUMBER>(sums, before, [&](int row, int tile, int half, const Columns& b, const Columns& had) {
            const Columns columns = done(row, column, result(sums, tile, half), b, had);
            own[2 * tile + half] = largest(columns);
            hold(sums, tile, half, columns);
        });
        share_largest(own);
        constexpr int SHARES = MAXIMA < 8 ? 1 : MAXIMA / 8;
#pragma unroll
        for (int k = 0; k < SHARES; ++k) {
            const int number = lane_id() / 4 * MAXIMA / 8 + k;
            if (number < 2 * TILES) {
                most[warp_id() * ROWS + number / 2 * ROW_TILE + 2 * (lane_id() % 4) + number % 2] = own[k];
            }
        }
        // From here on all know the largest number of a row, and nobody needs the inputs.
        __syncthreads();
        each_row<TILES>([&](int row, int tile, int half) {
            float all = 0;
#pragma unroll
            for (int warp = 0; warp < WARPS; ++warp) {
                all = fmaxf(all, most[warp * ROWS + row]);
            }
            const Scale scale(all);
            if (inside<M>()) {
                put(tile, 2 * (lane_id() % 4) + half, column, result(sums, tile, half), scale.up);
            }
            if (threadIdx.x < 4) {
                down[row] = scale.down;
            }
        });
        __syncthreads();
    }

    template <int NUMBER, class Done>
    __device__ __forceinline__ void product(Done done)
    {
        product<NUMBER>([](unsigned long long, int) { return Columns{}; },
            [&](int row, int column, const Columns& sum, const Columns& b, const Columns&) { return done(row, column, sum, b); });
    }

    /// The same where nothing comes after it.
    template <int NUMBER, class Done>
    __device__ __forceinline__ void last(Done done)
    {
        Sums sums = {};
        results<NUMBER>(sums, [](unsigned long long, int) { return Columns{}; },
            [&](int row, int tile, int half, const Columns& b, const Columns&) {
                done(row, column, result(sums, tile, half), b);
            });
        // Before anything begins anew.
        __syncthreads();
    }

    /// The product with matrix NUMBER; calls `use` for each of the lane's rows.
    template <int NUMBER, class Before, class Use>
    __device__ __forceinline__ void results(Sums& sums, Before before, Use use)
    {
        using M = typename Layers::template At<NUMBER>;
        const float factor = scale<NUMBER>();
        add_products<NUMBER>(sums);
        if constexpr (NUMBER + 1 < Layers::COUNT) {
            bring<NUMBER + 1>();
        }
        if (!inside<M>()) {
            return;
        }
        const Columns b = M::offset(Layers::template weights<NUMBER>(s, block), column);
        constexpr int TOGETHER = TILES < AHEAD_TILES ? TILES : AHEAD_TILES;
#pragma unroll
        for (int begin = 0; begin < TILES; begin += TOGETHER) {
            Columns had[TOGETHER][2];
            each_row<TOGETHER>([&](int row, int tile, int half) {
                const int at = ROW_TILE * begin + row;
                had[tile][half] = {};
                if (at < count) {
                    had[tile][half] = before(atom(at), column);
                }
            });
            each_row<TOGETHER>([&](int row, int tile, int half) {
                const int at = ROW_TILE * begin + row;
                Columns columns = result(sums, begin + tile, half);
                const float undo = down[at] * factor;
#pragma unroll
                for (int v = 0; v < DENSE_COLUMNS; ++v) {
                    columns.v[v] *= undo;
                }
                hold(sums, begin + tile, half, columns);
                use(at, begin + tile, half, b, had[tile][half]);
            });
            if constexpr (FULL_WIDTH<M>) {
                __syncwarp();
            }
        }
    }

    /// Calls `use` for each of the lane's rows in COUNT tiles.
    template <int COUNT, class Use>
    __device__ __forceinline__ static void each_row(Use use)
    {
#pragma unroll
        for (int tile = 0; tile < COUNT; ++tile) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                use(ROW_TILE * tile + 2 * (lane_id() % 4) + half, tile, half);
            }
        }
    }

    /// The lane's columns of a row.
    __device__ __forceinline__ static Columns result(const Sums& sums, int tile, int half)
    {
        Columns columns;
#pragma unroll
        for (int v = 0; v < DENSE_COLUMNS; ++v) {
            columns.v[v] = sums[tile][v / 2][2 * (v % 2) + half];
        }
        return columns;
    }

    /// Puts them where sums were.
    __device__ __forceinline__ static void hold(Sums& sums, int tile, int half, const Columns& columns)
    {
#pragma unroll
        for (int v = 0; v < DENSE_COLUMNS; ++v) {
            sums[tile][v / 2][2 * (v % 2) + half] = columns.v[v];
        }
    }

    /// Sums of products with matrix NUMBER.
    template <int NUMBER>
    __device__ __forceinline__ void add_products(Sums& sums)
    {
        using M = typename Layers::template At<NUMBER>;
        constexpr int STEPS = steps<M>();
        if (!there<M>()) {
            return;
        }
        const uint4* from = fragments<NUMBER>();
#pragma unroll 1
        for (int first = 0; first < STEPS; first += DENSE_DEPTH) {
            Weights<DENSE_DEPTH, EACH> next = {};
            if constexpr (STEPS > DENSE_DEPTH) {
                next.template bring<STEPS>(from, first + DENSE_DEPTH);
            }
#pragma unroll
            for (int step = 0; step < DENSE_DEPTH; ++step) {
                if (first + step < STEPS) {
#pragma unroll
                    for (int tile = 0; tile < TILES; ++tile) {
                        const uint4 in = *place(first + step, tile, lane_id());
#pragma unroll
                        for (int each = 0; each < EACH; ++each) {
                            tile_product(sums[tile][each], weights.high[step][each], weights.low[step][each], in);
                        }
                        if (tile % 2 == 1) {
                            // Else all tiles are begun with at once, and there are not enough registers for that.
                            __syncwarp();
                        }
                    }
                }
            }
            if constexpr (STEPS > DENSE_DEPTH) {
                weights = next;
            }
        }
    }

    /// Adds products of 16 columns and 16 inputs of 8 rows.
    ///
    /// Tensor cores cut off what does not fit in a sum instead of rounding it. So they add 16 products at a time, those with
    /// remainders first, and other sums are ordinary ones.
    __device__ __forceinline__ static void tile_product(float (&sum)[4], const uint4& high, const uint4& low, const uint4& in)
    {
        const unsigned all[4] = {high.x, high.y, high.z, high.w};
        const unsigned rest[4] = {low.x, low.y, low.z, low.w};
        float products[4] = {};
        multiply_add(products, rest, in.x, in.y);
        multiply_add(products, all, in.z, in.w);
        multiply_add(products, all, in.x, in.y);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            sum[k] += products[k];
        }
    }
};
