// The dense parts of the interaction blocks, forward and back.

/// From the messages of a block to what the next one sends.
struct UpdateLayers {
    static constexpr int COUNT = 3;
    template <int NUMBER>
    using At = Choose<NUMBER == 0, Matrix<F2out, false>, Choose<NUMBER == 1, Matrix<Mix, false>, Matrix<In2f, false>>>;

    template <int NUMBER>
    __device__ __forceinline__ static const Real* weights(const System& s, int block)
    {
        // After the last block there is none to send anything, and what is brought is not used.
        return block_weights(s, NUMBER == 2 && block + 1 < BLOCKS ? block + 1 : block);
    }
};

/// From dE/dy of a block to dE/dm of the one below.
struct DescendLayers {
    static constexpr int COUNT = 3;
    template <int NUMBER>
    using At = Choose<NUMBER == 0, Matrix<In2f, true>, Choose<NUMBER == 1, Matrix<Mix, true>, Matrix<F2out, true>>>;

    template <int NUMBER>
    __device__ __forceinline__ static const Real* weights(const System& s, int block)
    {
        return block_weights(s, NUMBER == 0 ? block : block - 1);
    }
};

/// A number of a matrix of rows.
__device__ __forceinline__ Real* at_row(Real* matrix, unsigned row, int stride, int column)
{
    return matrix + static_cast<unsigned long long>(row) * stride + column;
}

/// From messages to the block's update of the features, and to what the next block sends.
KERNEL(update, DENSE_THREADS, 1)
{
    using Rows = Chain<UpdateLayers, DENSE_ROWS, BLOCK_WIDTH, 0, BLOCK_SLOTS, BLOCK_SLOT>;
    Rows rows(s, block);
    const Real* weights = block_weights(s, block);
    Real* z = s.z + static_cast<unsigned long long>(block) * s.owned * FEATURE_STRIDE;
    rows.template fetch<FILTER_STRIDE, MESSAGE_PARTS>(s.m);
    rows.template product<0>([&](int row, int column, const Columns& sum) {
        const Columns b = bias<F2out, DENSE_COLUMNS>(weights, column);
        const unsigned atom = rows.first + row;
        const Real weight = row < rows.count ? message_weight(s, atom) : Real(0);
        Columns before;
        Columns after;
#pragma unroll
        for (int v = 0; v < DENSE_COLUMNS; ++v) {
            Real slope;
            before.v[v] = weight * sum.v[v] + b.v[v];
            activation<ACTIVATION>(before.v[v], after.v[v], slope);
        }
        if (row < rows.count) {
            store(at_row(z, atom, FEATURE_STRIDE, column), before);
        }
        store(rows.out + row * BLOCK_WIDTH + column, after);
    });
    rows.template product<1>([&](int row, int column, const Columns& sum) {
        const Columns b = bias<Mix, DENSE_COLUMNS>(weights, column);
        if (row < rows.count) {
            Real* at = at_row(s.x, rows.first + row, FEATURE_STRIDE, column);
            Columns x = load<DENSE_COLUMNS>(at);
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                x.v[v] += sum.v[v] + b.v[v];
            }
            store(at, x);
            store(rows.out + row * BLOCK_WIDTH + column, x);
        }
    });
    if (block + 1 == BLOCKS) {
        copied<0>();
        return;
    }
    Real* y = s.y + static_cast<unsigned long long>(block + 1) * s.rows * FILTER_STRIDE;
    rows.template product<2>([&](int row, int column, const Columns& sum) {
        if (row < rows.count) {
            store(at_row(y, rows.first + row, FILTER_STRIDE, column), sum);
        }
    });
}

/// dE/dm of `block` from dE/dx above it, by layers FIRST and the next.
template <int FIRST, int WIDTH, class Rows>
__device__ __forceinline__ void message_gradient(const System& s, int block, Rows& rows)
{
    Real* z = s.z + static_cast<unsigned long long>(block) * s.owned * FEATURE_STRIDE;
    rows.template product<FIRST>([&](int row, int column, const Columns& sum) {
        Columns out = {};
        if (row < rows.count) {
            const Columns before = load<DENSE_COLUMNS>(at_row(z, rows.first + row, FEATURE_STRIDE, column));
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                Real value;
                Real slope;
                activation<ACTIVATION>(before.v[v], value, slope);
                out.v[v] = sum.v[v] * slope;
            }
        }
        store(rows.out + row * WIDTH + column, out);
    });
    rows.template product<FIRST + 1>([&](int row, int column, const Columns& sum) {
        if (row < rows.count) {
            const unsigned atom = rows.first + row;
            const Real weight = message_weight(s, atom);
            Columns out;
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                out.v[v] = weight * sum.v[v];
            }
            store(at_row(s.g, atom, FILTER_STRIDE, column), out);
        }
    });
}

/// From dE/dy of a block to dE/dx below it and dE/dm of the block below.
KERNEL(descend, DENSE_THREADS, 1)
{
    using Rows = Chain<DescendLayers, DENSE_ROWS, BLOCK_WIDTH, 0, BLOCK_SLOTS, BLOCK_SLOT>;
    Rows rows(s, block);
    rows.template fetch<FILTER_STRIDE, MESSAGE_PARTS>(s.m);
    rows.template product<0>([&](int row, int column, const Columns& sum) {
        Columns gradient = {};
        if (row < rows.count) {
            Real* at = at_row(s.gradient, rows.first + row, FEATURE_STRIDE, column);
            gradient = load<DENSE_COLUMNS>(at);
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                gradient.v[v] += sum.v[v];
            }
            store(at, gradient);
        }
        store(rows.out + row * BLOCK_WIDTH + column, gradient);
    });
    message_gradient<1, BLOCK_WIDTH>(s, block - 1, rows);
}
