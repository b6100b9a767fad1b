// Neighbour lists: whether the one there is still serves, and if not, another. Every step launches all of this, so that the host has
// nothing to decide; kernels that have nothing to do return at once.
//
// A list has every directed pair nearer than cutoff plus skin, with all periodic images, in an order that depends on nothing but
// positions: results do not depend on when the list was found.

/// Marks the list as stale if an atom has moved by more than half the skin or anything else has changed, and refuses what
/// nothing can be computed from.
KERNEL(watch, SEARCH_THREADS, 1)
{
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    bool stale = false;
    if (at == 0) {
        s.status->counted = 0;
        if (s.coincident != nullptr) {
            *s.coincident = NOTHING;
        }
    }
    if (at < s.atoms) {
        double moved = 0.0;
        bool sound = true;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const double x = s.positions[3 * at + axis];
            const double d = x - s.kept_positions[3 * at + axis];
            sound = sound && fabs(x) <= LARGEST;
            moved += d * d;
        }
        if (!sound) {
            report(s, POSITION, at);
        }
        stale = !(4.0 * moved <= s.skin * s.skin);
    }
    if (at < s.structure_count) {
        const unsigned structure = static_cast<unsigned>(at);
        stale = stale || s.structures[at + 1] != s.kept_structures[at + 1];
        if (s.cells != nullptr) {
            for (int k = 0; k < 9; ++k) {
                stale = stale || !(s.cells[9 * at + k] == s.kept_cells[9 * at + k]);
            }
            for (int c = 0; s.periodic != nullptr && c < 3; ++c) {
                stale = stale || s.periodic[3 * at + c] != s.kept_periodic[3 * at + c];
            }
            const Frame f = frame_of(s, structure);
            const double atoms = s.structures[at + 1] - s.structures[at];
            const double images = atoms * (2.0 * f.steps[0] + 1.0) * (2.0 * f.steps[1] + 1.0) * (2.0 * f.steps[2] + 1.0);
            if (!f.sound) {
                report(s, CELL, at);
            } else if (!(images <= MOST_IMAGES || images <= 32.0 * atoms)) {
                report(s, IMAGES, at);
            }
        }
    }
    if (at < s.excluded_count) {
        const int first = s.excluded[2 * at];
        const int second = s.excluded[2 * at + 1];
        stale = stale || first != s.kept_excluded[2 * at] || second != s.kept_excluded[2 * at + 1];
        const int atoms = static_cast<int>(s.atoms);
        if (first < 0 || second < 0 || first >= atoms || second >= atoms || first == second) {
            report(s, EXCLUDED, at);
        }
    }
    if (stale) {
        s.status->stale = 1;
    }
}

/// Whether two atoms are an excluded pair; with `direct`, from a bit for each atom of the structure.
__device__ __forceinline__ bool left_out(const System& s, const unsigned* bits, unsigned first, unsigned row, unsigned other)
{
    if (s.excluded_count == 0) {
        return false;
    }
    if (s.direct != 0) {
        const unsigned at = other - first;
        return (bits[at / WARP] >> (at % WARP) & 1u) != 0;
    }
    for (unsigned long long at = s.starts[1][row]; at < s.starts[1][row + 1]; ++at) {
        if (s.partners[at] == other) {
            return true;
        }
    }
    return false;
}

/// Calls `visit` with the shifts at which an atom is within reach of a row's, d away without one, in ascending order.
template <class Visit>
__device__ __forceinline__ void images(const System& s, const Frame& f, unsigned row, bool self, const double (&d)[3], Visit visit)
{
    if (!f.repeats) {
        if (!self && dot(d, d) < s.reach * s.reach) {
            visit(0, 0, 0);
        }
        return;
    }
    int from[3] = {0, 0, 0};
    int to[3] = {0, 0, 0};
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        if (f.periodic[c]) {
            double x = 0.0;
            double terms = 0.0;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                const double term = f.dual[c][axis] * d[axis];
                x += term;
                terms += fabs(term);
            }
            const double steps = f.steps[c] + 1e-9 + 1e-14 * terms;
            if (!(fabs(x) + steps < MOST_STEPS)) {
                report(s, FAR, row);
                return;
            }
            from[c] = static_cast<int>(ceil(-x - steps));
            to[c] = static_cast<int>(floor(steps - x));
        }
    }
    for (int p = from[0]; p <= to[0]; ++p) {
        for (int q = from[1]; q <= to[1]; ++q) {
            for (int r = from[2]; r <= to[2]; ++r) {
                double e[3];
#pragma unroll
                for (int axis = 0; axis < 3; ++axis) {
                    e[axis] = d[axis] + (p * f.vectors[0][axis] + q * f.vectors[1][axis] + r * f.vectors[2][axis]);
                }
                if (dot(e, e) < s.reach * s.reach && !(self && p == 0 && q == 0 && r == 0)) {
                    visit(p, q, r);
                }
            }
        }
    }
}

/// Calls `visit` with the ranges of members that may be within reach of a row's atom.
template <class Visit>
__device__ __forceinline__ void surroundings(const System& s, const Frame& f, unsigned row, unsigned structure, Visit visit)
{
    const unsigned first = s.structures[structure];
    if (s.direct != 0) {
        visit(first, s.structures[structure + 1]);
        return;
    }
    const Grid grid = s.grids[structure];
    unsigned rest = s.bin[row] - first;
    int own[3];
#pragma unroll
    for (int c = 2; c >= 0; --c) {
        own[c] = static_cast<int>(rest % grid.dims[c]);
        rest /= grid.dims[c];
    }
    // Along each direction up to two ranges, the second where the first leaves the cell.
    int from[3][2];
    int to[3][2];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        const int count = grid.dims[c];
        from[c][0] = own[c] > 0 ? own[c] - 1 : 0;
        to[c][0] = own[c] + 1 < count ? own[c] + 1 : count - 1;
        from[c][1] = 1;
        to[c][1] = 0;
        if (f.periodic[c] && count <= 3) {
            from[c][0] = 0;
            to[c][0] = count - 1;
        } else if (f.periodic[c] && own[c] == 0) {
            from[c][1] = to[c][1] = count - 1;
        } else if (f.periodic[c] && own[c] == count - 1) {
            from[c][1] = to[c][1] = 0;
        }
    }
    for (int a = 0; a < 2; ++a) {
        for (int x = from[0][a]; x <= to[0][a]; ++x) {
            for (int b = 0; b < 2; ++b) {
                for (int y = from[1][b]; y <= to[1][b]; ++y) {
                    for (int c = 0; c < 2; ++c) {
                        if (from[2][c] <= to[2][c]) {
                            // Bins that follow one another along the last direction are one range.
                            const unsigned line = first + (x * grid.dims[1] + y) * grid.dims[2];
                            visit(static_cast<unsigned>(s.starts[0][line + from[2][c]]),
                                static_cast<unsigned>(s.starts[0][line + to[2][c] + 1]));
                        }
                    }
                }
            }
        }
    }
}

/// The atom at a place of a range, and the vector to it.
__device__ __forceinline__ unsigned member(const System& s, unsigned row, unsigned at, double (&d)[3])
{
    const unsigned other = s.direct != 0 ? at : s.members[at];
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        d[axis] = s.positions[3ull * other + axis] - s.positions[3ull * row + axis];
    }
    return other;
}

/// A bit for each atom of the structure that is an excluded partner of the row's, with `direct`.
__device__ __forceinline__ void mark(const System& s, unsigned* bits, unsigned first, unsigned row)
{
    if (s.direct == 0 || s.excluded_count == 0) {
        return;
    }
    for (int word = lane_id(); word < DIRECT / WARP; word += WARP) {
        bits[word] = 0;
    }
    __syncwarp();
    for (unsigned at = lane_id(); at < s.excluded_count; at += WARP) {
        const unsigned one = static_cast<unsigned>(s.excluded[2ull * at]);
        const unsigned two = static_cast<unsigned>(s.excluded[2ull * at + 1]);
        const unsigned other = (one == row ? two : one) - first;
        // Partners in other structures are none.
        if ((one == row || two == row) && other < DIRECT) {
            atomicOr(&bits[other / WARP], 1u << (other % WARP));
        }
    }
    __syncwarp();
}

/// Counts the candidates of every row, a warp a row.
KERNEL(count, SEARCH_THREADS, 1)
{
    __shared__ unsigned memory[SEARCH_THREADS / WARP * (DIRECT / WARP)];
    const unsigned row = blockIdx.x * (SEARCH_THREADS / WARP) + warp_id();
    if (row >= s.atoms || !finds(s)) {
        return;
    }
    // Where atoms have collapsed, this ends before it has lasted for ever.
    if (s.status->counted > MOST_PAIRS) {
        return;
    }
    const unsigned structure = s.structure[row];
    const Frame f = frame_of(s, structure);
    const unsigned first = s.structures[structure];
    unsigned* bits = memory + warp_id() * (DIRECT / WARP);
    mark(s, bits, first, row);
    double own = 0.0;
    surroundings(s, f, row, structure, [&](unsigned begin, unsigned end) {
        for (unsigned at = begin + lane_id(); at < end; at += WARP) {
            double d[3];
            const unsigned other = member(s, row, at, d);
            int hits = 0;
            images(s, f, row, other == row, d, [&](int, int, int) { ++hits; });
            if (hits > 0 && !left_out(s, bits, first, row, other)) {
                own += hits;
            }
        }
    });
    const double total = group_sum<WARP>(own);
    if (lane_id() == 0) {
        // What does not fit is many all the same.
        s.counts[2][row] = total < 4294967295.0 ? static_cast<unsigned>(total) : 0xffffffffu;
        if (atomicAdd(&s.status->counted, static_cast<unsigned long long>(total)) + total > MOST_PAIRS) {
            report(s, MANY, 0);
        }
    }
}

/// Leaves the list as found, when the last of the kernel's blocks is done with it.
__device__ __forceinline__ void settle(const System& s)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        if (atomicAdd(&s.status->done, 1u) + 1 == gridDim.x) {
            s.status->done = 0;
            s.status->stale = 0;
            ++s.status->builds;
        }
    }
}

/// Keeps what the list is found for, a thread an atom, structure or excluded pair.
__device__ __forceinline__ void keep(const System& s)
{
    const unsigned long long threads = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
    const unsigned long long own = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (unsigned long long at = own; at < 3ull * s.atoms; at += threads) {
        s.kept_positions[at] = s.positions[at];
    }
    for (unsigned long long at = own; at < s.structure_count; at += threads) {
        s.kept_structures[at + 1] = s.structures[at + 1];
        for (int k = 0; s.cells != nullptr && k < 9; ++k) {
            s.kept_cells[9 * at + k] = s.cells[9 * at + k];
        }
        for (int c = 0; s.periodic != nullptr && c < 3; ++c) {
            s.kept_periodic[3 * at + c] = s.periodic[3 * at + c];
        }
    }
    for (unsigned long long at = own; at < 2ull * s.excluded_count; at += threads) {
        s.kept_excluded[at] = s.excluded[at];
    }
}

/// Writes the candidates of every row, a warp a row: with `direct` in their order, else for `sort` to put there.
KERNEL(fill, SEARCH_THREADS, 1)
{
    __shared__ unsigned memory[SEARCH_THREADS / WARP * (DIRECT / WARP)];
    if (!finds(s)) {
        return;
    }
    const unsigned row = blockIdx.x * (SEARCH_THREADS / WARP) + warp_id();
    if (row < s.atoms) {
        const unsigned structure = s.structure[row];
        const Frame f = frame_of(s, structure);
        const unsigned first = s.structures[structure];
        unsigned* bits = memory + warp_id() * (DIRECT / WARP);
        mark(s, bits, first, row);
        unsigned long long next = s.starts[2][row];
        surroundings(s, f, row, structure, [&](unsigned begin, unsigned end) {
            for (unsigned base = begin; base < end; base += WARP) {
                const unsigned at = base + lane_id();
                double d[3] = {0.0, 0.0, 0.0};
                unsigned other = row;
                int hits = 0;
                int shift[3] = {0, 0, 0};
                if (at < end) {
                    other = member(s, row, at, d);
                    images(s, f, row, other == row, d, [&](int p, int q, int r) {
                        ++hits;
                        shift[0] = p;
                        shift[1] = q;
                        shift[2] = r;
                    });
                    if (hits > 0 && left_out(s, bits, first, row, other)) {
                        hits = 0;
                    }
                }
                int sum = hits;
#pragma unroll
                for (int step = 1; step < WARP; step *= 2) {
                    const int below = __shfl_up_sync(FULL, sum, step);
                    sum += lane_id() >= step ? below : 0;
                }
                unsigned long long to = next + sum - hits;
                const auto write = [&](int p, int q, int r) {
                    if (s.direct != 0) {
                        s.candidates[to] = other;
                        if (s.shifts != nullptr) {
                            s.shifts[3 * to] = p;
                            s.shifts[3 * to + 1] = q;
                            s.shifts[3 * to + 2] = r;
                        }
                    } else {
                        s.found[to] = Found{other, {p, q, r}};
                    }
                    ++to;
                };
                if (hits == 1) {
                    write(shift[0], shift[1], shift[2]);
                } else if (hits > 1) {
                    images(s, f, row, other == row, d, write);
                }
                next += __shfl_sync(FULL, sum, WARP - 1);
            }
        });
    }
    if (s.direct != 0) {
        keep(s);
        settle(s);
    }
}

__device__ __forceinline__ bool less(const Found& a, const Found& b)
{
    if (a.other != b.other) {
        return a.other < b.other;
    }
    if (a.shift[0] != b.shift[0]) {
        return a.shift[0] < b.shift[0];
    }
    return a.shift[1] != b.shift[1] ? a.shift[1] < b.shift[1] : a.shift[2] < b.shift[2];
}

/// Puts the pairs of every row in order, a warp a row: each to the place that as many others come before.
KERNEL(sort, SEARCH_THREADS, 1)
{
    if (!finds(s)) {
        return;
    }
    const unsigned row = blockIdx.x * (SEARCH_THREADS / WARP) + warp_id();
    if (row < s.atoms) {
        const unsigned long long first = s.starts[2][row];
        const unsigned long long last = s.starts[2][row + 1];
        for (unsigned long long at = first + lane_id(); at < last; at += WARP) {
            const Found own = s.found[at];
            unsigned long long to = first;
            for (unsigned long long k = first; k < last; ++k) {
                to += less(s.found[k], own) ? 1 : 0;
            }
            s.candidates[to] = own.other;
            if (s.shifts != nullptr) {
#pragma unroll
                for (int c = 0; c < 3; ++c) {
                    s.shifts[3 * to + c] = own.shift[c];
                }
            }
        }
    }
    keep(s);
    settle(s);
}
