// Messages and their gradients with the filter network evaluated at every pair by tensor cores.
//
// A warp takes two tiles of 16 rows through the two layers at a time: 32 pairs, or 16 pairs and their derivatives. What goes into a
// product are float16 numbers, sums are float32. Every number is the sum of two of them, and three products
// make one. Rows are in the order of distance, so that most basis functions are
// nothing for all pairs of a tile, and are left out.

/// Rows of a tile, and how many a warp has.
constexpr int TILE = 16;
constexpr int TILES = 2;
/// Inputs are multiplied by this, so that the second of their two numbers is no subnormal one.
constexpr float INPUT_SCALE = 16.0f;

#ifdef __CUDACC__
/// Two numbers in 16 bits, the first in the lower half.
__device__ __forceinline__ unsigned to_halves(float first, float second)
{
    unsigned halves;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(halves) : "f"(second), "f"(first));
#else
    asm("{.reg .b16 low, high; cvt.rn.f16.f32 low, %1; cvt.rn.f16.f32 high, %2; mov.b32 %0, {low, high};}"
        : "=r"(halves)
        : "f"(first), "f"(second));
#endif
    return halves;
}

__device__ __forceinline__ float from_half(unsigned bits)
{
    float value;
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low;}" : "=f"(value) : "r"(bits));
    return value;
}

/// Adds a product of 16 × 16 and 16 × 8 numbers, each lane with its part of them.
__device__ __forceinline__ void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(b0));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}
#endif

/// act(z) and its derivative, to about 1e-7 of the largest.
template <int KIND>
__device__ __forceinline__ void quick_activation(float z, float& value, float& slope)
{
    const float e = __expf(KIND == TANH ? -2 * fabsf(z) : -fabsf(z));
    const float inverse = __fdividef(1.0f, 1.0f + e);
    if constexpr (KIND == TANH) {
        const float size = (1.0f - e) * inverse;
        value = z < 0 ? -size : size;
        slope = 1.0f - size * size;
    } else {
        const float sigmoid = z > 0 ? inverse : e * inverse;
        if constexpr (KIND == SHIFTED_SOFTPLUS) {
            value = (z > 0 ? z : 0.0f) + __logf(1.0f + e) - 0.69314718055994530942f;
            slope = sigmoid;
        } else {
            value = z * sigmoid;
            slope = sigmoid * (1.0f + z * (1.0f - sigmoid));
        }
    }
}

/// A lane's part of 16 × 16 inputs: numbers 2p and 2p + 1 of the pair (row, column) that `p` is for.
struct Inputs {
    unsigned high[4];
    unsigned low[4];

    __device__ __forceinline__ void set(int part, float first, float second)
    {
        high[part] = to_halves(first, second);
        low[part] = to_halves(first - from_half(high[part]), second - from_half(high[part] >> 16));
    }
};

/// Multiplies inputs of every tile by 16 × 16 weights, which are those of column pairs `pair` and rows `step`.
template <class Layer>
__device__ __forceinline__ void tile_product(float (&first)[TILES][4], float (&second)[TILES][4], const Inputs& one,
    const Inputs& two, const uint4* fragments, int step, int pair)
{
    const int at = (step * (Layer::COLUMNS / TILE) + pair) * WARP + lane_id();
    const uint4 b = fragments[Layer::HIGH + at];
    const uint4 rest = fragments[Layer::LOW + at];
    multiply_add(first[0], one.high, rest.x, rest.y);
    multiply_add(second[0], one.high, rest.z, rest.w);
    multiply_add(first[1], two.high, rest.x, rest.y);
    multiply_add(second[1], two.high, rest.z, rest.w);
    multiply_add(first[0], one.low, b.x, b.y);
    multiply_add(second[0], one.low, b.z, b.w);
    multiply_add(first[1], two.low, b.x, b.y);
    multiply_add(second[1], two.low, b.z, b.w);
    multiply_add(first[0], one.high, b.x, b.y);
    multiply_add(second[0], one.high, b.z, b.w);
    multiply_add(first[1], two.high, b.x, b.y);
    multiply_add(second[1], two.high, b.z, b.w);
}

/// What the pairs that a lane has to do with have, by rows of the tiles: 8 lanes' groups of 4 have a row and the one 8 below.
template <bool SLOPES>
struct Pairs {
    /// Tiles that are pairs.
    static constexpr int HELD = SLOPES ? 1 : TILES;
    static constexpr int COUNT = TILE * HELD;
    Edge edge[2 * HELD];
    /// The filter's envelope; zero if there is no such pair.
    float f[2 * HELD];
    float df[2 * HELD];

    __device__ __forceinline__ Pairs(const Edge* edges, int count)
    {
#pragma unroll
        for (int k = 0; k < 2 * HELD; ++k) {
            const int pair = 8 * k + lane_id() / 4;
            edge[k] = edges[pair < count ? pair : 0];
            double value;
            double slope;
            envelope<FILTER_ENVELOPE>(
                edge[k].t, FILTER_ENVELOPE_END, FILTER_ENVELOPE_LOWER, FILTER_ENVELOPE_WIDTH, value, slope);
            f[k] = pair < count ? static_cast<float>(value) : 0.0f;
            df[k] = pair < count ? static_cast<float>(slope) : 0.0f;
        }
    }
};

/// Hidden values of the pairs, and their derivatives if SLOPES: the inputs of the last layer.
template <bool SLOPES>
struct Hidden {
    static constexpr int STEPS = FilterMatrix<0>::COLUMNS / TILE;
    Inputs inputs[TILES][STEPS];

    __device__ __forceinline__ Hidden(
        const System& s, const Pairs<SLOPES>& pairs, const uint4* fragments, const Real* weights, float scale)
    {
        constexpr int HELD = Pairs<SLOPES>::HELD;
        const int quarter = lane_id() % 4;
        float sum[2 * STEPS][TILES][4] = {};
        double r[2 * HELD];
        double inner[2 * HELD];
        float f[2 * HELD];
        float df[2 * HELD];
#pragma unroll
        for (int k = 0; k < 2 * HELD; ++k) {
            r[k] = pairs.edge[k].t;
            inner[k] = BASIS == EXPONENTIAL_NORMAL ? exp(-BASIS_ALPHA * (r[k] - BASIS_START)) : 0.0;
            double value;
            double slope;
            envelope<BASIS_ENVELOPE>(
                r[k], BASIS_ENVELOPE_END, BASIS_ENVELOPE_LOWER, BASIS_ENVELOPE_WIDTH, value, slope);
            f[k] = static_cast<float>(value) * INPUT_SCALE;
            df[k] = static_cast<float>(slope) * INPUT_SCALE;
        }
#pragma unroll 1
        for (int step = 0; step < FilterMatrix<0>::STEPS; ++step) {
            bool needed = false;
#pragma unroll
            for (int part = 0; part < 4; ++part) {
                const int number = TILE * step + 8 * (part / 2) + 2 * quarter + part % 2;
#pragma unroll
                for (int k = 0; k < 2 * HELD; ++k) {
                    needed |= number < BASIS_SIZE && basis_needed(s.basis, number, r[k], inner[k]);
                }
            }
            if (!__any_sync(FULL, needed)) {
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
                            basis_function(s.basis, number, r[k], inner[k], v, d);
                            value[k][e] = v * f[k];
                            slope[k][e] = d * f[k] + v * df[k];
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
                tile_product<FilterMatrix<0>>(
                    sum[2 * pair], sum[2 * pair + 1], basis[0], basis[1], fragments, step, pair);
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
                    quick_activation<ACTIVATION>(one + b.v[e], value[0][e], slope);
                    if constexpr (SLOPES) {
                        value[1][e] = two * slope;
                    } else {
                        quick_activation<ACTIVATION>(two + b.v[e], value[1][e], slope);
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
    /// the tiles.
    __device__ __forceinline__ void filters(
        const uint4* fragments, const Real* weights, float scale, int pair, Pack<4> (&w)[2 * TILES]) const
    {
        float sum[2][TILES][4] = {};
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            tile_product<FilterMatrix<1>>(sum[0], sum[1], inputs[0][step], inputs[1][step], fragments, step, pair);
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
    const uint4* fragments;
    const Real* weights;
    /// What undoes the scales of weights and inputs.
    float scale[2];

    __device__ __forceinline__ Network(const System& s, int block)
    {
        const unsigned long long distinct = SHARED_BLOCKS ? 0 : block;
        fragments = s.fragments + distinct * BLOCK_FRAGMENTS;
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
        const Hidden<false> hidden(s, pairs, network.fragments, network.weights, network.scale[0]);
#pragma unroll 1
        for (int pair = 0; pair < COLUMN_PAIRS; ++pair) {
            Pack<4> w[2 * TILES];
            hidden.filters(network.fragments, network.weights, network.scale[1], pair, w);
            Pack<4> sum = load<4>(sums.at(pair));
#pragma unroll
            for (int k = 0; k < 2 * TILES; ++k) {
                const Pack<4> other = load<4>(row_of<FILTER_STRIDE>(y, pairs.edge[k].other) + TILE * pair);
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
        const Hidden<true> hidden(s, pairs, network.fragments, network.weights, network.scale[0]);
        float total[2] = {};
#pragma unroll 1
        for (int pair = 0; pair < COLUMN_PAIRS; ++pair) {
            Pack<4> w[2 * TILES];
            hidden.filters(network.fragments, network.weights, network.scale[1], pair, w);
            // Else what follows is loaded ahead, and there are not enough registers for that.
            __syncwarp();
            Pack<4> sum = load<4>(sums.at(pair));
            const Pack<4> own_y = load<4>(row_of<FILTER_STRIDE>(y, row) + TILE * pair);
            const Pack<4> own_g = load<4>(row_of<FILTER_STRIDE>(g, row) + TILE * pair);
#pragma unroll
            for (int k = 0; k < 2; ++k) {
                const Pack<4> other_y = load<4>(row_of<FILTER_STRIDE>(y, pairs.edge[k].other) + TILE * pair);
                const Pack<4> other_g = load<4>(row_of<FILTER_STRIDE>(g, pairs.edge[k].other) + TILE * pair);
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
