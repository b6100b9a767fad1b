// Analytic terms of coarse-grained models, in float64: what they are, and the forms of docs/model-format.md.
//
// The formulae and where they have no value are those of src/prior/forms.rs, which explains them.

/// What all terms of one prior share; mirrored by `Form` in src/engine/cuda/term_system.rs.
struct Form {
    unsigned kind;
    /// Length of a series.
    unsigned degrees;
    /// Square of the distance beyond which pair terms are zero.
    double cutoff2;
};

/// One atom's part in a term; mirrored likewise.
struct Entry {
    /// The term's atoms, counted within the structure.
    unsigned atoms[4];
    /// Where its parameters begin.
    unsigned parameters;
    /// Number of the term within the topology, times four, and the atom's place in it.
    unsigned term;
};

/// A cell's periodic vectors, reduced to short ones, and what leads to coordinates along them.
struct Lattice {
    double basis[3][3];
    double dual[3][3];
    /// Nothing shorter than the root of this has a shorter image.
    double safe;
    int rank;
    int unused;
};

/// The arrays of terms; mirrored by `TermSystem` in src/engine/cuda/term_system.rs.
struct System {
    /// atoms × 3
    const double* positions;
    /// Structure of each atom, and atoms of structure k: structures[k] .. structures[k + 1].
    const unsigned* structure;
    const unsigned* structures;
    /// structures × 3 × 3, and structures × 3, as in kernels/neighbors.cuh.
    const double* cells;
    const unsigned char* periodic;
    /// One a prior.
    const Form* forms;
    /// First atom of each topology among those of all, and the end of the last.
    const unsigned* firsts;
    /// Row of the embedding of each atom of each topology.
    const unsigned* types;
    /// Whether a topology is what a search by its types finds.
    const unsigned char* found;
    /// Entries of atom a of all topologies and prior p are starts[a · priors + p] .. starts[a · priors + p + 1].
    const unsigned* starts;
    const Entry* entries;
    const double* parameters;
    /// One a structure.
    Lattice* lattices;
    /// Topology of each structure; as many as there are for none.
    unsigned* chosen;
    /// For hosts whose arrays are on the device: the topologies they ask for, negative or null to have them found; what was asked; rows
    /// of the embedding.
    const int* asked;
    int* kept_asked;
    const unsigned* rows;
    /// What the network gave, to be added to: atoms; atoms × 3 and × 6, null if not wanted; structures and × 6. Where the terms are
    /// apart, the first two are theirs alone.
    double* atom_energies;
    double* forces;
    double* virials;
    double* energies;
    double* structure_virials;
    /// atoms × priors: energy of the terms that an atom is the first of.
    double* shares;
    /// atoms × 6: the terms' alone.
    double* own_virials;
    /// structures × (1 + priors): of the network and of each prior.
    double* by_term;
    Status* status;
    unsigned atoms;
    unsigned structure_count;
    unsigned priors;
    unsigned topologies;
    /// Not zero: energies of atoms and forces are put there, and somebody else adds them up.
    unsigned apart;
    unsigned unused;
};

constexpr double TAU = 6.283185307179586476925286766559;
/// sin² of the angle in a dihedral below which three of its atoms count as being on a line.
constexpr double COLLINEAR = 1e-20;

struct Vector {
    double v[3];
};

__device__ __forceinline__ double dot(const Vector& p, const Vector& q)
{
    return p.v[0] * q.v[0] + p.v[1] * q.v[1] + p.v[2] * q.v[2];
}

__device__ __forceinline__ Vector cross(const Vector& p, const Vector& q)
{
    return {{p.v[1] * q.v[2] - p.v[2] * q.v[1], p.v[2] * q.v[0] - p.v[0] * q.v[2], p.v[0] * q.v[1] - p.v[1] * q.v[0]}};
}

__device__ __forceinline__ Vector scaled(double factor, const Vector& p)
{
    return {{factor * p.v[0], factor * p.v[1], factor * p.v[2]}};
}

/// What a term of V vectors comes to.
template <int V>
struct Outcome {
    double energy;
    /// Derivative by each vector.
    Vector gradient[V];
    /// 0, or 1 + the number of a vector without length, or 4 for atoms on a line.
    int fault;
};

constexpr int ON_A_LINE = 4;

/// k x² + v0 and 2 k x, of parameters k, x0, v0.
__device__ __forceinline__ void harmonic(double x, const double* p, double& energy, double& slope)
{
    energy = p[0] * x * x + p[2];
    slope = 2.0 * p[0] * x;
}

/// Terms of two atoms, d apart.
__device__ __forceinline__ void pair_form(const Form& form, const Vector (&d)[1], const double* p, Outcome<1>& out)
{
    const double square = dot(d[0], d[0]);
    if (square >= form.cutoff2) {
        return;
    }
    if (square == 0.0) {
        out.fault = 1;
        return;
    }
    double along = 0.0;
    if (form.kind == REPULSION) {
        const double ratio = p[0] * p[0] / square;
        out.energy = ratio * ratio * ratio;
        along = -6.0 * out.energy / square;
    } else if (form.kind == HARMONIC_BOND) {
        const double r = sqrt(square);
        double slope = 0.0;
        harmonic(r - p[1], p, out.energy, slope);
        along = slope / r;
    } else {
        const double r = sqrt(square);
        out.energy = p[0] * exp(-p[1] * r);
        along = -p[1] * out.energy / r;
    }
    out.gradient[0] = scaled(along, d[0]);
}

/// Terms of three atoms, by the vectors from the middle one.
__device__ __forceinline__ void angle_form(const Form& form, const Vector (&d)[2], const double* p, Outcome<2>& out)
{
    const double squares[2] = {dot(d[0], d[0]), dot(d[1], d[1])};
    if (squares[0] == 0.0 || squares[1] == 0.0) {
        out.fault = squares[0] == 0.0 ? 1 : 2;
        return;
    }
    const double inverse[2] = {1.0 / sqrt(squares[0]), 1.0 / sqrt(squares[1])};
    const Vector u = scaled(inverse[0], d[0]);
    const Vector v = scaled(inverse[1], d[1]);
    const Vector normal = cross(u, v);
    const double sine = sqrt(dot(normal, normal));
    const double cosine = dot(u, v);
    double by_cosine = 0.0;
    if (form.kind == HARMONIC_ANGLE_COS) {
        harmonic(cosine - p[1], p, out.energy, by_cosine);
    } else if (form.kind == RESTRICTED_BENDING) {
        const double square = sine * sine;
        if (square == 0.0) {
            out.fault = ON_A_LINE;
            return;
        }
        const double away = cosine - p[1];
        const double ratio = p[0] * away / square;
        out.energy = ratio * away + p[2];
        by_cosine = 2.0 * ratio * (1.0 + away * cosine / square);
    } else {
        const double t = atan2(sine, cosine);
        double slope = 0.0;
        if (form.kind == HARMONIC_ANGLE) {
            harmonic(t - p[1], p, out.energy, slope);
        } else {
            out.energy = (((p[0] * t + p[1]) * t + p[2]) * t + p[3]) * t + p[4];
            slope = ((4.0 * p[0] * t + 3.0 * p[1]) * t + 2.0 * p[2]) * t + p[3];
        }
        by_cosine = sine == 0.0 ? 0.0 : -slope / sine;
    }
    out.gradient[0] = scaled(by_cosine * inverse[0], cross(normal, u));
    out.gradient[1] = scaled(by_cosine * inverse[1], cross(v, normal));
}

/// Terms of four atoms, by the vectors along the chain.
__device__ __forceinline__ void dihedral_form(const Form& form, const Vector (&d)[3], const double* p, Outcome<3>& out)
{
    const double squares[3] = {dot(d[0], d[0]), dot(d[1], d[1]), dot(d[2], d[2])};
#pragma unroll
    for (int k = 2; k >= 0; --k) {
        out.fault = squares[k] == 0.0 ? 1 + k : out.fault;
    }
    const Vector m = cross(d[0], d[1]);
    const Vector n = cross(d[1], d[2]);
    const double m2 = dot(m, m);
    const double n2 = dot(n, n);
    // Written so that what is not a number is let through, to be found in the results.
    if (out.fault == 0 && (m2 <= COLLINEAR * squares[0] * squares[1] || n2 <= COLLINEAR * squares[2] * squares[1])) {
        out.fault = ON_A_LINE;
    }
    if (out.fault != 0) {
        return;
    }
    const double middle = sqrt(squares[1]);
    const double x = dot(m, n);
    const double y = middle * dot(d[0], n);
    const double inverse = 1.0 / hypot(x, y);
    const double s = y * inverse;
    const double c = x * inverse;
    double slope = 0.0;
    if (form.kind == HARMONIC_IMPROPER) {
        const double away = atan2(s, c) - p[1];
        harmonic(away - TAU * round(away / TAU), p, out.energy, slope);
    } else {
        out.energy = p[0];
        double sn = s;
        double cn = c;
        for (unsigned k = 0; k < form.degrees; ++k) {
            const double a = p[1 + k];
            const double b = p[1 + form.degrees + k];
            out.energy += a * sn + b * cn;
            slope += (k + 1.0) * (a * cn - b * sn);
            const double next = sn * c + cn * s;
            cn = cn * c - sn * s;
            sn = next;
        }
    }
    out.gradient[0] = scaled(slope * middle / m2, m);
    out.gradient[2] = scaled(slope * middle / n2, n);
    const double first = -slope * dot(d[0], d[1]) / (m2 * middle);
    const double last = -slope * dot(d[2], d[1]) / (n2 * middle);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        out.gradient[1].v[axis] = first * m.v[axis] + last * n.v[axis];
    }
}
