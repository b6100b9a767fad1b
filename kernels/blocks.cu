// The dense parts of the interaction blocks, forward and back.

/// From the messages of a block to what the next one sends.
struct UpdateLayers {
    static constexpr int COUNT = 3;
    template <int NUMBER>
    using At = Choose<NUMBER == 0, Matrix<F2out, false>, Choose<NUMBER == 1, Matrix<Mix, false>, Matrix<In2f, false>>>;

    /// The block whose matrix it is. After the last there is none to send anything, and what is brought is not used.
    template <int NUMBER>
    __device__ __forceinline__ static int owner(int block)
    {
        return NUMBER == 2 && block + 1 < BLOCKS ? block + 1 : block;
    }

    template <int NUMBER>
    __device__ __forceinline__ static const Real* weights(const System& s, int block)
    {
        return block_weights(s, owner<NUMBER>(block));
    }
};

/// From dE/dy of a block to dE/dm of the one below.
struct DescendLayers {
    static constexpr int COUNT = 3;
    template <int NUMBER>
    using At = Choose<NUMBER == 0, Matrix<In2f, true>, Choose<NUMBER == 1, Matrix<Mix, true>, Matrix<F2out, true>>>;

    template <int NUMBER>
    __device__ __forceinline__ static int owner(int block)
    {
        return NUMBER == 0 ? block : block - 1;
    }

    template <int NUMBER>
    __device__ __forceinline__ static const Real* weights(const System& s, int block)
    {
        return block_weights(s, owner<NUMBER>(block));
    }
};

/// From messages to the block's update of the features, and to what the next block sends.
KERNEL(update, DENSE_THREADS, DENSE_BLOCKS)
{
    using Rows = Chain<UpdateLayers, DENSE_ROWS, BLOCK_WIDTH, 0>;
    Rows rows(s, block);
    Real* z = s.z + static_cast<unsigned long long>(block) * s.owned * FEATURE_STRIDE;
    rows.template fetch<FILTER_STRIDE, SUM_PARTS>(s.m);
    rows.template product<0>([&](int row, int column, const Columns& sum, const Columns& b) {
        const unsigned long long atom = rows.atom(row);
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
        return after;
    });
    const auto features = [&](unsigned long long atom, int column) {
        return load<DENSE_COLUMNS>(at_row(s.x, atom, FEATURE_STRIDE, column));
    };
    rows.template product<1>(features, [&](int row, int column, const Columns& sum, const Columns& b, Columns x) {
#pragma unroll
        for (int v = 0; v < DENSE_COLUMNS; ++v) {
            x.v[v] += sum.v[v] + b.v[v];
        }
        if (row < rows.count) {
            store(at_row(s.x, rows.atom(row), FEATURE_STRIDE, column), x);
        }
        return x;
    });
    if (block + 1 == BLOCKS) {
        return;
    }
    Real* y = s.y + static_cast<unsigned long long>(block + 1) * s.rows * FILTER_STRIDE;
    rows.template last<2>([&](int row, int column, const Columns& sum, const Columns&) {
        if (row < rows.count) {
            store(at_row(y, rows.atom(row), FILTER_STRIDE, column), sum);
        }
    });
}

/// dE/dm of `block` from dE/dx above it, by layers FIRST and the next.
template <int FIRST, class Rows>
__device__ __forceinline__ void message_gradient(const System& s, int block, Rows& rows)
{
    Real* z = s.z + static_cast<unsigned long long>(block) * s.owned * FEATURE_STRIDE;
    const auto inputs = [&](unsigned long long atom, int column) {
        return load<DENSE_COLUMNS>(at_row(z, atom, FEATURE_STRIDE, column));
    };
    rows.template product<FIRST>(inputs, [&](int, int, const Columns& sum, const Columns&, const Columns& before) {
        Columns out;
#pragma unroll
        for (int v = 0; v < DENSE_COLUMNS; ++v) {
            Real value;
            Real slope;
            activation<ACTIVATION>(before.v[v], value, slope);
            out.v[v] = sum.v[v] * slope;
        }
        return out;
    });
    rows.template last<FIRST + 1>([&](int row, int column, const Columns& sum, const Columns&) {
        if (row < rows.count) {
            const unsigned long long atom = rows.atom(row);
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
KERNEL(descend, DENSE_THREADS, DENSE_BLOCKS)
{
    using Rows = Chain<DescendLayers, DENSE_ROWS, BLOCK_WIDTH, 0>;
    Rows rows(s, block);
    rows.template fetch<FILTER_STRIDE, SUM_PARTS>(s.m);
    const auto above = [&](unsigned long long atom, int column) {
        return load<DENSE_COLUMNS>(at_row(s.gradient, atom, FEATURE_STRIDE, column));
    };
    rows.template product<0>(above, [&](int row, int column, const Columns& sum, const Columns&, Columns gradient) {
#pragma unroll
        for (int v = 0; v < DENSE_COLUMNS; ++v) {
            gradient.v[v] += sum.v[v];
        }
        if (row < rows.count) {
            store(at_row(s.gradient, rows.atom(row), FEATURE_STRIDE, column), gradient);
        }
        return gradient;
    });
    message_gradient<1>(s, block - 1, rows);
}
