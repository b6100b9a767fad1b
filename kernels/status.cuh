// What all programs that take part in a step report to the host.

/// What the host learns of a list, and what a step leaves for the next; mirrored by `Status` in src/engine/cuda/list_system.rs.
struct Status {
    /// The least of what went wrong, kind · 2⁵⁶ + number; all ones if nothing did. Stays until the host has read it.
    unsigned long long trouble;
    /// Pairs of the list, also of one that there was no room for.
    unsigned long long pairs;
    /// Pairs counted so far.
    unsigned long long counted;
    /// How often the list was found.
    unsigned long long builds;
    /// Not zero if it has to be found.
    unsigned stale;
    /// Blocks of the last kernel that are done.
    unsigned done;
};

/// What can go wrong; mirrored in src/engine/cuda/list_system.rs. The number is that of a structure, atom or pair.
constexpr unsigned long long OFFSETS = 1;
constexpr unsigned long long TYPE = 2;
constexpr unsigned long long POSITION = 3;
constexpr unsigned long long CELL = 4;
constexpr unsigned long long IMAGES = 5;
constexpr unsigned long long EXCLUDED = 6;
constexpr unsigned long long FAR = 7;
constexpr unsigned long long MANY = 8;
constexpr unsigned long long NO_ROOM = 9;
constexpr unsigned long long COINCIDENT = 10;
constexpr unsigned long long RESULT = 11;
/// The vector of a term that has no length, number 0, 1 or 2; three atoms of a term on a line. The number is structure · 2²⁸ + term.
constexpr unsigned long long POINT = 12;
constexpr unsigned long long LINE = 15;
/// A structure without terms of its own.
constexpr unsigned long long TERMS = 16;
/// An atom that moves too far in a step.
constexpr unsigned long long FARTHEST = 17;
constexpr unsigned long long NOTHING = ~0ull;

/// Coordinates beyond this are refused, so that no square overflows.
constexpr double LARGEST = 1e100;

__device__ __forceinline__ void report(Status* status, unsigned long long kind, unsigned long long number)
{
    atomicMin(&status->trouble, (kind << 56) | number);
}
