// Between a step and a host whose arrays are on the device: what it gives, checked; what it gets.

/// Structures and types of the host's atoms, in every step: it may have changed them. Without a list it is here that positions are
/// looked at.
KERNEL(admit, SEARCH_THREADS, 1)
{
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const unsigned long long* offsets = s.given_offsets;
    if (at <= s.structure_count) {
        unsigned long long begins = at == 0 ? 0 : s.atoms;
        if (offsets != nullptr) {
            begins = offsets[at];
            const bool ends = at == 0 ? begins == 0 : at < s.structure_count || begins == s.atoms;
            if (!ends || (at > 0 && offsets[at - 1] > begins)) {
                report(s, OFFSETS, at);
            }
        }
        s.own_structures[at] = static_cast<unsigned>(begins < s.atoms ? begins : s.atoms);
    }
    if (s.listless != 0 && at == 0) {
        *s.coincident = NOTHING;
    }
    if (s.listless != 0 && at < s.atoms) {
        bool sound = true;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            sound = sound && fabs(s.positions[3 * at + axis]) <= LARGEST;
        }
        if (!sound) {
            report(s, POSITION, at);
        }
    }
    if (at < s.atoms) {
        // What was found the last time often still holds.
        unsigned first = s.own_structure[at];
        unsigned last = first + 1;
        if (offsets == nullptr || first >= s.structure_count || offsets[first] > at || offsets[last] <= at) {
            first = 0;
            last = s.structure_count;
        }
        // The last structure that begins at the atom or before it.
        while (offsets != nullptr && last - first > 1) {
            const unsigned middle = first + (last - first) / 2;
            if (offsets[middle] <= at) {
                first = middle;
            } else {
                last = middle;
            }
        }
        s.own_structure[at] = first;
        unsigned row = s.own_types[at];
        row = row < s.known_count && s.known[row] == s.given_types[at] ? row : 0;
        while (row < s.known_count && s.known[row] != s.given_types[at]) {
            ++row;
        }
        if (row == s.known_count) {
            report(s, TYPE, at);
            row = 0;
        }
        s.own_types[at] = row;
    }
}

/// Whether a number can leave; reports the atom's if it cannot.
__device__ __forceinline__ void check(const System& s, double value, unsigned long long atom)
{
    if (!(fabs(value) <= 1.7976931348623157e308)) {
        report(s, RESULT, atom);
    }
}

/// Row-major 3 × 3 from xx xy xz yy yz zz.
__device__ __forceinline__ void whole(const double* half, double* to, bool sound, double otherwise)
{
    const int places[9] = {0, 1, 2, 1, 3, 4, 2, 4, 5};
#pragma unroll
    for (int k = 0; k < 9; ++k) {
        to[k] = sound ? half[places[k]] : otherwise;
    }
}

/// Results to where the host wants them; what is not to be relied on is not a number there.
KERNEL(deliver, SEARCH_THREADS, 1)
{
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const unsigned long long coincident = *s.coincident;
    const bool sound = s.status->trouble == NOTHING && coincident == NOTHING;
    if (at == 0 && coincident != NOTHING) {
        report(s, COINCIDENT, (coincident >> 32 << 28) | (coincident & 0xfffffffull));
    }
    if (at < s.structure_count) {
        if (s.to_energies != nullptr) {
            s.to_energies[at] = sound ? s.energies[at] : s.not_a_number;
        }
        if (s.to_virials != nullptr) {
            whole(s.structure_virials + 6 * at, s.to_virials + 9 * at, sound, s.not_a_number);
        }
        for (unsigned term = 0; s.to_by_term != nullptr && term < s.terms; ++term) {
            s.to_by_term[at * s.terms + term] = sound ? s.by_term[at * s.terms + term] : s.not_a_number;
        }
    }
    if (at < s.atoms) {
        double energy = s.atom_energies[at];
        if (s.term_energies != nullptr) {
            energy += s.term_energies[at];
        }
        check(s, energy, at);
        if (s.to_atom_energies != nullptr) {
            s.to_atom_energies[at] = sound ? energy : s.not_a_number;
        }
        if (s.to_forces != nullptr) {
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                double force = sum_of(s.forces + 3 * at + axis, 3ull * s.atoms, s.slices);
                if (s.term_forces != nullptr) {
                    force += s.term_forces[3 * at + axis];
                }
                check(s, force, at);
                s.to_forces[3 * at + axis] = sound ? force : s.not_a_number;
            }
        }
        if (s.to_atom_virials != nullptr) {
            whole(s.virials + 6 * at, s.to_atom_virials + 9 * at, sound, s.not_a_number);
        }
    }
}
