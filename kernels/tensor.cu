// Messages and their gradients with the filter network evaluated at every pair by tensor cores.
//
// A warp takes two tiles of 16 rows through the two layers at a time: 32 pairs, or 16 pairs and their derivatives. What goes into a
// product are float16 numbers, sums are float32. Every number is the sum of two of them, and three products
// make one, which keeps nearly all of float32's 24 bits. Rows are in the order of distance, so that most basis functions are
// nothing for all pairs of a tile, and are left out.

/// Tiles of a warp.
constexpr int TILES = 2;
/// Inputs are multiplied by this, so that the second of their two numbers is no subnormal one.
constexpr float INPUT_SCALE = 16.0f;

/// Multiplies inputs of every tile by 16 × 16 weights, which are those of column pairs `pair` and of STEPS_ rows of tiles from `step` on
/// in the layer whose matrix begins at `matrix`.
///
/// Tensor cores cut off what does not fit in a sum instead of rounding it, which adds up where every step does it. So they add
/// some products at a time, those with remainders first, and other sums are ordinary ones.
template <class Layer, int STEPS_>
__device__ __forceinline__ void tile_product(float (&first)[TILES][4], float (&second)[TILES][4], const Inputs* one,
    const Inputs* two, const uint4* matrix, int step, int pair)
{
    float products[2 * TILES][4] = {};
    uint4 b[STEPS_];
#pragma unroll
    for (int k = 0; k < STEPS_; ++k) {
        const int at = ((step + k) * (Layer::COLUMNS / TILE) + pair) * WARP + lane_id();
        b[k] = matrix[at];
        const uint4 rest = matrix[Layer::LOW - Layer::HIGH + at];
        multiply_add(products[0], one[k].high, rest.x, rest.y);
        multiply_add(products[1], one[k].high, rest.z, rest.w);
        multiply_add(products[2], two[k].high, rest.x, rest.y);
        multiply_add(products[3], two[k].high, rest.z, rest.w);
        multiply_add(products[0], one[k].low, b[k].x, b[k].y);
        multiply_add(products[1], one[k].low, b[k].z, b[k].w);
        multiply_add(products[2], two[k].low, b[k].x, b[k].y);
        multiply_add(products[3], two[k].low, b[k].z, b[k].w);
    }
#pragma unroll
    for (int k = 0; k < STEPS_; ++k) {
        multiply_add(products[0], one[k].high, b[k].x, b[k].y);
        multiply_add(products[1], one[k].high, b[k].z, b[k].w);
        multiply_add(products[2], two[k].high, b[k].x, b[k].y);
        multiply_add(products[3], two[k].high, b[k].z, b[k].w);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        first[0][k] += products[0][k];
        second[0][k] += products[1][k];
        first[1][k] += products[2][k];
        second[1][k] += products[3][k];
    }
}

/// The least and the largest of a warp's numbers.
__device__ __forceinline__ void warp_range(float value, float& least, float& most)
{
    least = value;
    most = value;
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        const float low = __shfl_xor_sync(FULL, least, step);
        const float high = __shfl_xor_sync(FULL, most, step);
        least = low < least ? low : least;
        most = high > most ? high : most;
    }
}

/// The pairs of a warp's tiles: a lane works out one of them, and then has what it needs of those that it has to do with, which
/// are in the rows of the tiles of which 8 groups of 4 lanes have one and the one 8 below.
template <bool SLOPES>
struct Pairs {
    /// Tiles that are pairs.
    static constexpr int HELD = SLOPES ? 1 : TILES;
    static constexpr int COUNT = TILE * HELD;
    unsigned other[2 * HELD];
    /// The filter's envelope; zero if there is no such pair.
    float f[2 * HELD];
    float df[2 * HELD];
    /// What basis functions are functions of, and their envelope.
    float r[2 * HELD];
    double inner[2 * HELD];
    float basis_f[2 * HELD];
    float basis_df[2 * HELD];
    /// The range of the numbers that `basis_wanted` is for.
    float least;
    float most;

    __device__ __forceinline__ Pairs(const Edge* edges, int count)
    {
        const int own = lane_id() % COUNT;
        const bool there = own < count;
        const Edge edge = edges[there ? own : 0];
        const double distance = edge.t;
        const double decay = BASIS == EXPONENTIAL_NORMAL ? exp(-BASIS_ALPHA * (distance - BASIS_START)) : 0.0;
        warp_range(BASIS == EXPONENTIAL_NORMAL ? static_cast<float>(decay) : edge.t, least, most);
        double value;
        double slope;
        envelope<FILTER_ENVELOPE>(
            distance, FILTER_ENVELOPE_END, FILTER_ENVELOPE_LOWER, FILTER_ENVELOPE_WIDTH, value, slope);
        const float own_f = there ? static_cast<float>(value) : 0.0f;
        const float own_df = there ? static_cast<float>(slope) : 0.0f;
        envelope<BASIS_ENVELOPE>(
            distance, BASIS_ENVELOPE_END, BASIS_ENVELOPE_LOWER, BASIS_ENVELOPE_WIDTH, value, slope);
#pragma unroll
        for (int k = 0; k < 2 * HELD; ++k) {
            const int pair = 8 * k + lane_id() / 4;
            other[k] = __shfl_sync(FULL, edge.other, pair);
            f[k] = __shfl_sync(FULL, own_f, pair);
            df[k] = __shfl_sync(FULL, own_df, pair);
            r[k] = __shfl_sync(FULL, edge.t, pair);
            inner[k] = BASIS == EXPONENTIAL_NORMAL ? __shfl_sync(FULL, decay, pair) : 0.0;
            basis_f[k] = __shfl_sync(FULL, static_cast<float>(value) * INPUT_SCALE, pair);
            basis_df[k] = __shfl_sync(FULL, static_cast<float>(slope) * INPUT_SCALE, pair);
        }
    }
};

/// Hidden values of the pairs, and their derivatives if SLOPES: the inputs of the last layer.
template <bool SLOPES>
struct Hidden {
    static constexpr int STEPS = FilterMatrix<0>::COLUMNS / TILE;
    Inputs inputs[TILES][STEPS];

    template <class Functions, class Of>
    __device__ __forceinline__ Hidden(
        const Functions& functions, const Of& pairs, const uint4* matrix, const Real* weights, float scale)
    {
        constexpr int HELD = Of::HELD;
        const int quarter = lane_id() % 4;
        float sum[2 * STEPS][TILES][4] = {};
#pragma unroll 1
        for (int step = 0; step < FilterMatrix<0>::STEPS; ++step) {
            const int tested = TILE * step + lane_id() % TILE;
            if (!__any_sync(FULL, tested < BASIS_SIZE && functions.wanted(tested, pairs.least, pairs.most))) {
                continue;
            }
            Inputs basis[TILES];
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float value[2 * HELD][2];
                float slope[2 * HELD][2];
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    const int number = TILE * step + 8 * half + 2 * quarter + e;
#pragma unroll
                    for (int k = 0; k < 2 * HELD; ++k) {
                        value[k][e] = 0;
                        slope[k][e] = 0;
                        if (number < BASIS_SIZE) {
                            Real v;
                            Real d;
                            functions(number, pairs, k, v, d);
                            value[k][e] = v * pairs.basis_f[k];
                            slope[k][e] = d * pairs.basis_f[k] + v * pairs.basis_df[k];
                        }
                    }
                }
#pragma unroll
                for (int k = 0; k < 2 * HELD; ++k) {
                    basis[k / 2].set(2 * half + k % 2, value[k][0], value[k][1]);
                    if constexpr (SLOPES) {
                        basis[1].set(2 * half + k % 2, slope[k][0], slope[k][1]);
                    }
                }
            }
#pragma unroll
            for (int pair = 0; pair < STEPS; ++pair) {
                tile_product<FilterMatrix<0>, 1>(
                    sum[2 * pair], sum[2 * pair + 1], &basis[0], &basis[1], matrix, step, pair);
            }
        }
#pragma unroll
        for (int part = 0; part < 2 * STEPS; ++part) {
            const Pack<2> b = bias<FilterLayer<0>, 2>(weights, 8 * part + 2 * quarter);
#pragma unroll
            for (int row = 0; row < 2; ++row) {
                float value[TILES][2];
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    const float one = sum[part][0][2 * row + e] * scale;
                    const float two = sum[part][1][2 * row + e] * scale;
                    float slope;
                    activation<ACTIVATION>(one + b.v[e], value[0][e], slope);
                    if constexpr (SLOPES) {
                        value[1][e] = two * slope;
                    } else {
                        activation<ACTIVATION>(two + b.v[e], value[1][e], slope);
                    }
                }
#pragma unroll
                for (int tile = 0; tile < TILES; ++tile) {
                    inputs[tile][part / 2].set(
                        2 * (part % 2) + row, INPUT_SCALE * value[tile][0], INPUT_SCALE * value[tile][1]);
                }
            }
        }
    }

    /// Filters without their envelope, and derivatives of them: 4 channels from 16 · `pair` + 4 · (lane % 4) on, by rows of
    /// the tiles. Tensor cores add up the products of MOST_STEPS at a time, if that divides all.
    template <int MOST_STEPS = 1>
    __device__ __forceinline__ void filters(
        const uint4* matrix, const Real* weights, float scale, int pair, Pack<4> (&w)[2 * TILES]) const
    {
        constexpr int CHAIN = STEPS % MOST_STEPS == 0 ? MOST_STEPS : 1;
        float sum[2][TILES][4] = {};
#pragma unroll
        for (int step = 0; step < STEPS; step += CHAIN) {
            tile_product<FilterMatrix<1>, CHAIN>(
                sum[0], sum[1], &inputs[0][step], &inputs[1][step], matrix, step, pair);
        }
        const Pack<4> b = bias<FilterLayer<1>, 4>(weights, TILE * pair + 4 * (lane_id() % 4));
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile) {
#pragma unroll
            for (int row = 0; row < 2; ++row) {
#pragma unroll
                for (int v = 0; v < 4; ++v) {
                    const float offset = SLOPES && tile == 1 ? 0.0f : b.v[v];
                    w[2 * tile + row].v[v] = sum[v / 2][tile][2 * row + v % 2] * scale + offset;
                }
            }
        }
    }
};

/// The weights of a block's filter network.
struct Network {
    /// Matrices of the first layer and of the last.
    const uint4* first;
    const uint4* last;
    const Real* weights;
    /// What undoes the scales of weights and inputs.
    float scale[2];

    __device__ __forceinline__ Network(const System& s, int block)
    {
        const unsigned long long distinct = SHARED_BLOCKS ? 0 : block;
        first = s.fragments + distinct * BLOCK_FRAGMENTS + FilterMatrix<0>::HIGH;
        last = s.fragments + distinct * BLOCK_FRAGMENTS + FilterMatrix<1>::HIGH;
        weights = block_weights(s, block);
        scale[0] = s.scales[2 * distinct] / INPUT_SCALE;
        scale[1] = s.scales[2 * distinct + 1] / INPUT_SCALE;
    }
};

constexpr int COLUMN_PAIRS = FILTER_STRIDE / TILE;

/// A warp's row and its share of its pairs, which PARTS warps have between them.
struct Share {
    unsigned row;
    int part;
    int first;
    int last;

    __device__ __forceinline__ Share(const System& s, unsigned rows)
    {
        const unsigned warp = blockIdx.x * (blockDim.x / WARP) + warp_id();
        row = warp / PARTS;
        part = warp % PARTS;
        const int count = row < rows ? static_cast<int>(s.counts[row]) : 0;
        first = count * part / PARTS;
        last = count * (part + 1) / PARTS;
    }
};

/// Waits for the warps that share a row.
__device__ __forceinline__ void sync_share()
{
    if constexpr (PARTS > 1) {
        __syncthreads();
    } else {
        __syncwarp();
    }
}

/// Sums of a row's messages in shared memory, where every lane has its own: registers are needed for hidden values.
struct Sums {
    Real* memory;

    /// Zeros.
    __device__ __forceinline__ Sums()
    {
        SHARED(Real, all);
        memory = all + warp_id() * (WARP * 4 * COLUMN_PAIRS);
        for (int pair = 0; pair < COLUMN_PAIRS; ++pair) {
            store(at(pair), Pack<4>{});
        }
    }

    __device__ __forceinline__ Real* at(int pair) const { return memory + (pair * WARP + lane_id()) * 4; }

    /// Adds up what lanes and warps have of each channel, in their order, and stores it. All threads of the block take part.
    __device__ __forceinline__ void finish(const Share& share, bool there, Real* matrix) const
    {
        sync_share();
        if (there && share.part == 0) {
            for (int channel = lane_id(); channel < FILTER_STRIDE; channel += WARP) {
                Real all = 0;
                for (int part = 0; part < PARTS; ++part) {
                    const Real* from = memory + (part * COLUMN_PAIRS + channel / TILE) * (WARP * 4) + channel % TILE;
#pragma unroll
                    for (int row = 0; row < 8; ++row) {
                        all += from[row * TILE];
                    }
                }
                matrix[static_cast<unsigned long long>(share.row) * FILTER_STRIDE + channel] = all;
            }
        }
    }
};

/// m = Σ y ∘ W over the pairs of a row.
KERNEL(receive, ROW_THREADS, 1)
{
    const Share share(s, s.owned);
    const bool there = share.row < s.owned;
    const Network network(s, block);
    const int channel = 4 * (lane_id() % 4);
    const Real* y = kept(s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE + channel);
    const Edge* edges = s.edges + (there ? s.starts[share.row] : 0);
    const Sums sums;
    using Here = Pairs<false>;
    for (int first = share.first; first < share.last; first += Here::COUNT) {
        const Here pairs(edges + first, share.last - first);
        const Hidden<false> hidden(Basis{s.basis}, pairs, network.first, network.weights, network.scale[0]);
#pragma unroll 1
        for (int pair = 0; pair < COLUMN_PAIRS; ++pair) {
            Pack<4> w[2 * TILES];
            hidden.filters(network.last, network.weights, network.scale[1], pair, w);
            Pack<4> sum = load<4>(sums.at(pair));
#pragma unroll
            for (int k = 0; k < 2 * TILES; ++k) {
                const Pack<4> other = load<4>(row_of<FILTER_STRIDE>(y, pairs.other[k]) + TILE * pair);
#pragma unroll
                for (int v = 0; v < 4; ++v) {
                    sum.v[v] += other.v[v] * (pairs.f[k] * w[k].v[v]);
                }
            }
            store(sums.at(pair), sum);
        }
    }
    sums.finish(share, there, s.m);
}

/// dE/dy = Σ g ∘ W of a row, and the force on it by both directions of its pairs.
template <bool VIRIALS>
__device__ __forceinline__ void send_row(const System& s, int block)
{
    const Share share(s, s.rows);
    const bool there = share.row < s.rows;
    const Network network(s, block);
    const int channel = 4 * (lane_id() % 4);
    const unsigned row = there ? share.row : 0;
    const Real* y = kept(s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE + channel);
    const Real* g = s.g + channel;
    const Edge* edges = s.edges + s.starts[row];
    const Arm* arms = s.arms + s.starts[row];
    const Sums sums;
    Pull<VIRIALS> pull;
    using Here = Pairs<true>;
    for (int first = share.first; first < share.last; first += Here::COUNT) {
        const Here pairs(edges + first, share.last - first);
        const Hidden<true> hidden(Basis{s.basis}, pairs, network.first, network.weights, network.scale[0]);
        float total[2] = {};
#pragma unroll 1
        for (int pair = 0; pair < COLUMN_PAIRS; ++pair) {
            Pack<4> w[2 * TILES];
            hidden.filters(network.last, network.weights, network.scale[1], pair, w);
            // Else what follows is loaded ahead, and there are not enough registers for that.
            __syncwarp();
            Pack<4> sum = load<4>(sums.at(pair));
            const Pack<4> own_y = load<4>(row_of<FILTER_STRIDE>(y, row) + TILE * pair);
            const Pack<4> own_g = load<4>(row_of<FILTER_STRIDE>(g, row) + TILE * pair);
#pragma unroll
            for (int k = 0; k < 2; ++k) {
                const Pack<4> other_y = load<4>(row_of<FILTER_STRIDE>(y, pairs.other[k]) + TILE * pair);
                const Pack<4> other_g = load<4>(row_of<FILTER_STRIDE>(g, pairs.other[k]) + TILE * pair);
#pragma unroll
                for (int v = 0; v < 4; ++v) {
                    const float both = other_g.v[v] * own_y.v[v] + own_g.v[v] * other_y.v[v];
                    total[k] += both * (pairs.f[k] * w[2 + k].v[v] + pairs.df[k] * w[k].v[v]);
                    sum.v[v] += other_g.v[v] * (pairs.f[k] * w[k].v[v]);
                }
            }
            store(sums.at(pair), sum);
        }
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            const int pair = first + 8 * k + lane_id() / 4;
            if (pair < share.last) {
                pull.add(arms[pair], total[k]);
            }
        }
    }
    if (block > 0) {
        sums.finish(share, there, s.m);
    }
    pull.template gather<PARTS>();
    pull.template finish<WARP>(s, row, there && share.part == 0, block == BLOCKS - 1);
}

KERNEL(send, ROW_THREADS, 1) { send_row<false>(s, block); }
KERNEL(send_virials, ROW_THREADS, 1) { send_row<true>(s, block); }
