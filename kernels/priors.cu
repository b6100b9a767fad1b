// Analytic terms, added to what the network gave: every atom gathers its parts of the terms it is in, so that there is one order of
// sums and nothing between them. A term is evaluated once for each of its atoms, which costs less than bringing its parts together.

/// Whether a structure's atoms are those of a topology; the same for all threads of the block.
__device__ __forceinline__ bool is_of(const System& s, unsigned structure, unsigned topology, int* verdict)
{
    const unsigned first = s.structures[structure];
    const unsigned atoms = s.structures[structure + 1] - first;
    const unsigned start = s.firsts[topology];
    __syncthreads();
    if (threadIdx.x == 0) {
        *verdict = s.firsts[topology + 1] - start == atoms ? 1 : 0;
    }
    __syncthreads();
    const bool sized = *verdict != 0;
    __syncthreads();
    if (!sized) {
        return false;
    }
    bool same = true;
    for (unsigned at = threadIdx.x; at < atoms; at += blockDim.x) {
        same = same && s.rows[first + at] == s.types[start + at];
    }
    if (!same) {
        *verdict = 0;
    }
    __syncthreads();
    return *verdict != 0;
}

/// The topology of each structure whose types are on the device alone, a block a structure: the one asked for, or the one that has
/// its types.
KERNEL(choose, TERM_THREADS, 1)
{
    __shared__ int verdict;
    __shared__ unsigned last;
    const unsigned structure = blockIdx.x;
    const int asked = s.asked != nullptr ? s.asked[structure] : -1;
    if (threadIdx.x == 0) {
        last = s.chosen[structure];
    }
    __syncthreads();
    unsigned own = s.topologies;
    if (asked != -1) {
        if (asked >= 0 && static_cast<unsigned>(asked) < s.topologies && is_of(s, structure, asked, &verdict)) {
            own = asked;
        }
    } else if (last < s.topologies && s.found[last] != 0 && is_of(s, structure, last, &verdict)) {
        own = last;
    } else {
        for (unsigned at = 0; own == s.topologies && at < s.topologies; ++at) {
            if (s.found[at] != 0 && is_of(s, structure, at, &verdict)) {
                own = at;
            }
        }
    }
    if (threadIdx.x == 0) {
        s.chosen[structure] = own;
        s.kept_asked[structure] = asked;
        if (own == s.topologies) {
            report(s.status, TERMS, structure);
        }
    }
}

/// Takes from vector `target` what makes it shortest of the lattice point of the `count` others nearest to it; false if nothing does.
__device__ __forceinline__ bool shorten(Vector (&rows)[3], int target, int count)
{
    const Vector& a = rows[target == 0 ? 1 : 0];
    const Vector& b = rows[target == 2 ? 1 : 2];
    const Vector own = rows[target];
    double weights[2] = {dot(own, a) / dot(a, a), 0.0};
    if (count == 2) {
        const double determinant = dot(a, a) * dot(b, b) - dot(a, b) * dot(a, b);
        if (determinant > 0.0) {
            weights[0] = (dot(own, a) * dot(b, b) - dot(own, b) * dot(a, b)) / determinant;
            weights[1] = (dot(own, b) * dot(a, a) - dot(own, a) * dot(a, b)) / determinant;
        }
    }
    double shortest = dot(own, own) * (1.0 - 1e-10);
    bool found = false;
    for (int p = -1; p <= 1; ++p) {
        for (int q = count == 2 ? -1 : 0; q <= (count == 2 ? 1 : 0); ++q) {
            const double along = round(weights[0]) + p;
            const double across = count == 2 ? round(weights[1]) + q : 0.0;
            Vector other;
            for (int axis = 0; axis < 3; ++axis) {
                other.v[axis] = own.v[axis] - along * a.v[axis] - (count == 2 ? across * b.v[axis] : 0.0);
            }
            if (dot(other, other) < shortest) {
                shortest = dot(other, other);
                rows[target] = other;
                found = true;
            }
        }
    }
    return found;
}

/// Short vectors of each structure's lattice, a thread a structure.
KERNEL(reduce, TERM_THREADS, 1)
{
    const unsigned structure = blockIdx.x * blockDim.x + threadIdx.x;
    if (structure >= s.structure_count) {
        return;
    }
    Vector rows[3] = {};
    Lattice lattice = {};
    int rank = 0;
    double longest = 0.0;
    for (int c = 0; c < 3; ++c) {
        if (s.periodic == nullptr || s.periodic[3ull * structure + c] != 0) {
            for (int axis = 0; axis < 3; ++axis) {
                const double x = s.cells[9ull * structure + 3 * c + axis];
                rows[rank].v[axis] = x;
                longest = fabs(x) > longest ? fabs(x) : longest;
            }
            ++rank;
        }
    }
    // In units that keep products of three lengths within numbers.
    const double unit = longest > 0.0 ? longest : 1.0;
    for (int r = 0; r < rank; ++r) {
        rows[r] = scaled(1.0 / unit, rows[r]);
    }
    bool changed = rank > 1;
    // The bound is for rounding: any basis this stops at is one.
    for (int turn = 0; changed && turn < 1000; ++turn) {
        changed = false;
        for (int target = rank - 1; target >= 0; --target) {
            changed = shorten(rows, target, rank - 1) || changed;
        }
    }
    double lowest = 1e300;
    for (int r = 0; r < rank; ++r) {
        Vector dual = rows[r];
        if (rank == 3) {
            dual = cross(rows[(r + 1) % 3], rows[(r + 2) % 3]);
        } else if (rank == 2) {
            const Vector& other = rows[1 - r];
            dual = cross(other, cross(rows[r], other));
        }
        const double length = dot(dual, rows[r]);
        double square = 0.0;
        for (int axis = 0; axis < 3; ++axis) {
            lattice.basis[r][axis] = unit * rows[r].v[axis];
            lattice.dual[r][axis] = dual.v[axis] / length / unit;
            square += lattice.dual[r][axis] * lattice.dual[r][axis];
        }
        const double height = 1.0 / sqrt(square);
        lowest = height < lowest ? height : lowest;
    }
    lattice.rank = rank;
    lattice.safe = 0.25 * lowest * lowest;
    s.lattices[structure] = lattice;
}

/// The shortest of d and all that differ from it by a translation.
__device__ __forceinline__ void nearest(const Lattice& lattice, Vector& d)
{
    Vector centred = d;
    for (int r = 0; r < lattice.rank; ++r) {
        const double steps =
            round(lattice.dual[r][0] * d.v[0] + lattice.dual[r][1] * d.v[1] + lattice.dual[r][2] * d.v[2]);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            centred.v[axis] -= steps * lattice.basis[r][axis];
        }
    }
    d = centred;
    if (lattice.rank == 0 || !(dot(centred, centred) > lattice.safe)) {
        return;
    }
    const int y = lattice.rank > 1 ? 1 : 0;
    const int z = lattice.rank > 2 ? 1 : 0;
    for (int p = -1; p <= 1; ++p) {
        for (int q = -y; q <= y; ++q) {
            for (int r = -z; r <= z; ++r) {
                Vector image;
#pragma unroll
                for (int axis = 0; axis < 3; ++axis) {
                    image.v[axis] = centred.v[axis]
                        + (p * lattice.basis[0][axis] + q * lattice.basis[1][axis] + r * lattice.basis[2][axis]);
                }
                if (dot(image, image) < dot(d, d)) {
                    d = image;
                }
            }
        }
    }
}

/// Atoms in space, and what one of them gathers.
struct Gathered {
    const double* positions;
    const Lattice* lattice;
    double energy;
    double share;
    Vector force;
    double virial[6];
    int fault;
};

__device__ __forceinline__ Vector between(const Gathered& g, unsigned from, unsigned to)
{
    Vector d;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        d.v[axis] = g.positions[3ull * to + axis] - g.positions[3ull * from + axis];
    }
    if (g.lattice != nullptr) {
        nearest(*g.lattice, d);
    }
    return d;
}

/// Adds an atom's part in a term of V vectors, that of number e from atom FROM(e) to atom TO(e).
template <int V, class From, class To, class Evaluate>
__device__ __forceinline__ void gather(
    const System& s, const Entry& entry, Gathered& g, From from, To to, Evaluate evaluate)
{
    const int place = static_cast<int>(entry.term % 4);
    Vector d[V];
    Outcome<V> out;
    out.energy = 0.0;
    out.fault = 0;
#pragma unroll
    for (int e = 0; e < V; ++e) {
        d[e] = between(g, entry.atoms[from(e)], entry.atoms[to(e)]);
        out.gradient[e] = Vector{{0.0, 0.0, 0.0}};
    }
    evaluate(d, s.parameters + entry.parameters, out);
    g.fault = out.fault;
    g.energy += place == 0 ? out.energy : 0.0;
    g.share += out.energy * (1.0 / (V + 1));
#pragma unroll
    for (int e = 0; e < V; ++e) {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const double slope = out.gradient[e].v[axis];
            g.force.v[axis] += place == from(e) ? slope : 0.0;
            g.force.v[axis] -= place == to(e) ? slope : 0.0;
        }
        if (s.virials != nullptr) {
            int part = 0;
#pragma unroll
            for (int a = 0; a < 3; ++a) {
#pragma unroll
                for (int b = a; b < 3; ++b) {
                    // Terms do not change with the molecule's orientation, so that a term's virial is symmetric.
                    const double both = out.gradient[e].v[a] * d[e].v[b] + out.gradient[e].v[b] * d[e].v[a];
                    g.virial[part] -= 0.5 * (1.0 / (V + 1)) * both;
                    ++part;
                }
            }
        }
    }
}

/// Adds what the terms give to the atoms: a block has a few of them, and each of its warps takes other priors, so that none waits for
/// another's; a few lanes add up an atom's terms of a prior.
KERNEL(terms, TERM_THREADS, 4)
{
    constexpr int WARPS = TERM_THREADS / WARP;
    constexpr int ATOMS = WARP / TERM_LANES;
    // Energy, force, virial.
    constexpr int PARTS = 10;
    __shared__ double memory[WARPS][ATOMS][PARTS];
    const unsigned group = lane_id() / TERM_LANES;
    const unsigned lane = lane_id() % TERM_LANES;
    const unsigned first_row = blockIdx.x * ATOMS;
    const bool there = first_row + group < s.atoms;
    // All lanes of a warp take part in its sums.
    const unsigned row = there ? first_row + group : 0;
    const unsigned structure = s.structure[row];
    const unsigned first = s.structures[structure];
    const unsigned topology = s.chosen[structure];
    const bool known = there && topology < s.topologies;
    const unsigned long long own = known ? (static_cast<unsigned long long>(s.firsts[topology]) + (row - first)) * s.priors : 0;
    Gathered g = {};
    g.positions = s.positions + 3ull * first;
    g.lattice = s.cells != nullptr ? s.lattices + structure : nullptr;
    for (unsigned prior = warp_id(); prior < s.priors; prior += WARPS) {
        const unsigned begin = known ? s.starts[own + prior] : 0;
        const unsigned end = known ? s.starts[own + prior + 1] : 0;
        const Form form = s.forms[prior];
        g.energy = 0.0;
        for (unsigned at = begin + lane; at < end; at += TERM_LANES) {
            const Entry entry = s.entries[at];
            if (form.kind <= LAST_PAIR) {
                gather<1>(
                    s, entry, g, [](int) { return 0; }, [](int) { return 1; },
                    [&](const Vector(&d)[1], const double* p, Outcome<1>& out) { pair_form(form, d, p, out); });
            } else if (form.kind <= LAST_ANGLE) {
                gather<2>(
                    s, entry, g, [](int) { return 1; }, [](int e) { return 2 * e; },
                    [&](const Vector(&d)[2], const double* p, Outcome<2>& out) { angle_form(form, d, p, out); });
            } else {
                gather<3>(
                    s, entry, g, [](int e) { return e; }, [](int e) { return e + 1; },
                    [&](const Vector(&d)[3], const double* p, Outcome<3>& out) { dihedral_form(form, d, p, out); });
            }
            if (g.fault != 0) {
                const unsigned long long number = static_cast<unsigned long long>(structure) << 28 | entry.term / 4;
                report(s.status, g.fault == ON_A_LINE ? LINE : POINT + g.fault - 1, number);
            }
        }
        const double energy = group_sum<TERM_LANES>(g.energy);
        if (there && lane == 0) {
            s.shares[static_cast<unsigned long long>(row) * s.priors + prior] = energy;
        }
    }
    const bool virials = s.virials != nullptr;
    double* part = memory[warp_id()][group];
    const double share = group_sum<TERM_LANES>(g.share);
    if (lane == 0) {
        part[0] = share;
    }
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const double force = group_sum<TERM_LANES>(g.force.v[axis]);
        if (lane == 0) {
            part[1 + axis] = force;
        }
    }
#pragma unroll
    for (int k = 0; k < 6; ++k) {
        const double virial = virials ? group_sum<TERM_LANES>(g.virial[k]) : 0.0;
        if (lane == 0) {
            part[4 + k] = virial;
        }
    }
    __syncthreads();
    const unsigned atom = threadIdx.x / PARTS;
    const unsigned which = threadIdx.x % PARTS;
    if (atom >= ATOMS || first_row + atom >= s.atoms) {
        return;
    }
    double sum = 0.0;
#pragma unroll
    for (int warp = 0; warp < WARPS; ++warp) {
        sum += memory[warp][atom][which];
    }
    const unsigned long long to = first_row + atom;
    if (which < 4) {
        double* place = which == 0 ? s.atom_energies + to : s.forces + 3 * to + which - 1;
        if (which == 0 || s.forces != nullptr) {
            *place = s.apart != 0 ? sum : *place + sum;
        }
    } else if (virials) {
        s.own_virials[6 * to + which - 4] = sum;
        s.virials[6 * to + which - 4] += sum;
    }
}

/// Adds what the terms give to the structures, a block a structure, whose warps take a prior or a part of the virial each.
KERNEL(tally, TERM_THREADS, 1)
{
    const unsigned structure = blockIdx.x;
    const unsigned first = s.structures[structure];
    const unsigned last = s.structures[structure + 1];
    const unsigned columns = s.priors + (s.virials != nullptr ? 6 : 0);
    double* own = s.by_term + static_cast<unsigned long long>(structure) * (1 + s.priors);
    for (unsigned column = warp_id(); column < columns; column += TERM_THREADS / WARP) {
        const bool prior = column < s.priors;
        const unsigned width = prior ? s.priors : 6;
        const double* from = prior ? s.shares + column : s.own_virials + (column - s.priors);
        double sum = 0.0;
        for (unsigned row = first + lane_id(); row < last; row += WARP) {
            sum += from[static_cast<unsigned long long>(row) * width];
        }
        sum = group_sum<WARP>(sum);
        if (lane_id() == 0) {
            if (prior) {
                own[1 + column] = sum;
            } else {
                s.structure_virials[6ull * structure + column - s.priors] += sum;
            }
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        double energy = s.energies[structure];
        own[0] = energy;
        for (unsigned prior = 0; prior < s.priors; ++prior) {
            energy += own[1 + prior];
        }
        s.energies[structure] = energy;
    }
}
