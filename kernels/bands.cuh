// What kernels share that take the pairs of a structure band by band (see kernels/mutual.cu): a pair, and the structure's bands.

/// What there is to know of a pair to evaluate its filter; the rest is in a `Bend` and an `Arm`.
struct alignas(16) Meeting {
    /// Place of the second atom in its band.
    unsigned other;
    /// What basis functions are functions of, in two numbers.
    Real high;
    Real low;
    /// The filter's envelope.
    Real f;
};

/// The bands of a structure.
struct Bands {
    unsigned start;
    unsigned atoms;
    unsigned count;
    unsigned size;

    __device__ __forceinline__ Bands(const System& s, unsigned structure)
    {
        start = s.structures[structure];
        atoms = s.structures[structure + 1] - start;
        count = (atoms + BAND_ROWS - 1) / BAND_ROWS;
        size = count > 0 ? (atoms + count - 1) / count : 1;
    }

    __device__ __forceinline__ unsigned of(unsigned row) const { return (row - start) / size; }

    /// The first row of a band, or the end of the one before.
    __device__ __forceinline__ unsigned first(unsigned band) const
    {
        return start + (band * size < atoms ? band * size : atoms);
    }

    /// Matrices that have something of an atom of a band: first its rows with each band from its own on, then what it is the second
    /// atom of.
    __device__ __forceinline__ unsigned parts(const System& s, unsigned band) const
    {
        return received(s, band, band, s.splits);
    }

    __device__ __forceinline__ unsigned received(const System& s, unsigned band, unsigned first_band, unsigned split) const
    {
        return count - band + first_band * s.splits + split;
    }
};
