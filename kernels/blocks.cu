// The dense parts of the interaction blocks, forward and back.

/// From messages to the block's update of the features, and to what the next block sends.
KERNEL(update, DENSE_THREADS, 1)
{
    const RowGroup rows(s);
    if (rows.count == 0) {
        return;
    }
    SHARED(Real, memory);
    Real* one = memory + rows.team * (2 * DENSE_ROWS * BLOCK_WIDTH);
    Real* other = one + DENSE_ROWS * BLOCK_WIDTH;
    const Real* weights = block_weights(s, block);
    Real* z = s.z + static_cast<unsigned long long>(block) * s.owned * FEATURE_STRIDE;

    fetch<Dense, DENSE_ROWS, BLOCK_WIDTH, FILTER_STRIDE>(s.m, rows.first, rows.count, one);
    product<Dense, DENSE_ROWS, BLOCK_WIDTH, F2out, false>(one, weights, [&](int column, const Real(&sum)[DENSE_ROWS][DENSE_COLUMNS]) {
        const Columns b = bias<F2out, DENSE_COLUMNS>(weights, column);
#pragma unroll
        for (int row = 0; row < DENSE_ROWS; ++row) {
            const unsigned atom = rows.first + row;
            const Real weight = row < rows.count ? message_weight(s, atom) : Real(0);
            Columns before;
            Columns after;
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                Real slope;
                before.v[v] = weight * sum[row][v] + b.v[v];
                activation<ACTIVATION>(before.v[v], after.v[v], slope);
            }
            if (row < rows.count) {
                store(z + static_cast<unsigned long long>(atom) * FEATURE_STRIDE + column, before);
            }
            store(other + row * BLOCK_WIDTH + column, after);
        }
    });
    product<Dense, DENSE_ROWS, BLOCK_WIDTH, Mix, false>(other, weights, [&](int column, const Real(&sum)[DENSE_ROWS][DENSE_COLUMNS]) {
        const Columns b = bias<Mix, DENSE_COLUMNS>(weights, column);
#pragma unroll
        for (int row = 0; row < DENSE_ROWS; ++row) {
            if (row < rows.count) {
                Real* at = s.x + static_cast<unsigned long long>(rows.first + row) * FEATURE_STRIDE + column;
                Columns x = load<DENSE_COLUMNS>(at);
#pragma unroll
                for (int v = 0; v < DENSE_COLUMNS; ++v) {
                    x.v[v] += sum[row][v] + b.v[v];
                }
                store(at, x);
                store(one + row * BLOCK_WIDTH + column, x);
            }
        }
    });
    if (block + 1 == BLOCKS) {
        return;
    }
    Real* y = s.y + static_cast<unsigned long long>(block + 1) * s.rows * FILTER_STRIDE;
    product<Dense, DENSE_ROWS, BLOCK_WIDTH, In2f, false>(
        one, block_weights(s, block + 1), [&](int column, const Real(&sum)[DENSE_ROWS][DENSE_COLUMNS]) {
#pragma unroll
            for (int row = 0; row < DENSE_ROWS; ++row) {
                if (row < rows.count) {
                    Columns out;
#pragma unroll
                    for (int v = 0; v < DENSE_COLUMNS; ++v) {
                        out.v[v] = sum[row][v];
                    }
                    store(y + static_cast<unsigned long long>(rows.first + row) * FILTER_STRIDE + column, out);
                }
            }
        });
}

/// dE/dm of `block` from dE/dx above it, which is in `gradient`; `scratch` is overwritten.
template <int WIDTH>
__device__ __forceinline__ void message_gradient(
    const System& s, int block, const RowGroup& rows, const Real* gradient, Real* scratch)
{
    const Real* weights = block_weights(s, block);
    const Real* z = s.z + static_cast<unsigned long long>(block) * s.owned * FEATURE_STRIDE;
    product<Dense, DENSE_ROWS, WIDTH, Mix, true>(gradient, weights, [&](int column, const Real(&sum)[DENSE_ROWS][DENSE_COLUMNS]) {
#pragma unroll
        for (int row = 0; row < DENSE_ROWS; ++row) {
            Columns out = {};
            if (row < rows.count) {
                const Columns before =
                    load<DENSE_COLUMNS>(z + static_cast<unsigned long long>(rows.first + row) * FEATURE_STRIDE + column);
#pragma unroll
                for (int v = 0; v < DENSE_COLUMNS; ++v) {
                    Real value;
                    Real slope;
                    activation<ACTIVATION>(before.v[v], value, slope);
                    out.v[v] = sum[row][v] * slope;
                }
            }
            store(scratch + row * WIDTH + column, out);
        }
    });
    product<Dense, DENSE_ROWS, WIDTH, F2out, true>(scratch, weights, [&](int column, const Real(&sum)[DENSE_ROWS][DENSE_COLUMNS]) {
#pragma unroll
        for (int row = 0; row < DENSE_ROWS; ++row) {
            if (row < rows.count) {
                const unsigned atom = rows.first + row;
                const Real weight = message_weight(s, atom);
                Columns out;
#pragma unroll
                for (int v = 0; v < DENSE_COLUMNS; ++v) {
                    out.v[v] = weight * sum[row][v];
                }
                store(s.g + static_cast<unsigned long long>(atom) * FILTER_STRIDE + column, out);
            }
        }
    });
}

/// From dE/dy of a block to dE/dx below it and dE/dm of the block below.
KERNEL(descend, DENSE_THREADS, 1)
{
    const RowGroup rows(s);
    if (rows.count == 0) {
        return;
    }
    SHARED(Real, memory);
    Real* one = memory + rows.team * (2 * DENSE_ROWS * BLOCK_WIDTH);
    Real* other = one + DENSE_ROWS * BLOCK_WIDTH;
    fetch<Dense, DENSE_ROWS, BLOCK_WIDTH, FILTER_STRIDE>(s.m, rows.first, rows.count, one);
    product<Dense, DENSE_ROWS, BLOCK_WIDTH, In2f, true>(
        one, block_weights(s, block), [&](int column, const Real(&sum)[DENSE_ROWS][DENSE_COLUMNS]) {
#pragma unroll
            for (int row = 0; row < DENSE_ROWS; ++row) {
                Columns gradient = {};
                if (row < rows.count) {
                    Real* at =
                        s.gradient + static_cast<unsigned long long>(rows.first + row) * FEATURE_STRIDE + column;
                    gradient = load<DENSE_COLUMNS>(at);
#pragma unroll
                    for (int v = 0; v < DENSE_COLUMNS; ++v) {
                        gradient.v[v] += sum[row][v];
                    }
                    store(at, gradient);
                }
                store(other + row * BLOCK_WIDTH + column, gradient);
            }
        });
    message_gradient<BLOCK_WIDTH>(s, block - 1, rows, other, one);
}
