// FlashSchNet for C++17: handles that free themselves, exceptions, and arrays that know their length, over
// flashschnet.h, whose comments say more about shapes, units and threads.
//
//     flashschnet::model model("model.safetensors");
//     flashschnet::potential potential(model);
//     flashschnet::structures crystal;
//     crystal.positions = positions;  // any container of doubles, or of std::array<double, 3>
//     crystal.types = types;
//     crystal.cells = cell;
//     flashschnet::results results;
//     results.energies = {&energy, 1};
//     results.forces = forces;
//     potential.compute(crystal, results);
//
// Every function that fails throws flashschnet::error, with the library's text, and writes no results. A handle that was
// moved from is empty: the library refuses it by a text of its own.

#ifndef FLASHSCHNET_HPP
#define FLASHSCHNET_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "flashschnet.h"

namespace flashschnet {

// What the library, or this header for it, refuses or fails at.
class error : public std::runtime_error {
public:
    error(fsn_status status, const std::string &text) : std::runtime_error(text), status_(status) {}

    // The kind of error; never FSN_SUCCESS.
    fsn_status status() const noexcept { return status_; }

private:
    fsn_status status_;
};

// A view of an array: a pointer and a length. Made implicitly from arrays and containers of T, or of std::array<T, N>,
// which count as N numbers each; not of temporaries, since it must not outlive what it was made of.
template <class T> class span {
    using value = std::remove_const_t<T>;
    template <class U> static constexpr bool fits = std::is_convertible_v<U (*)[], T (*)[]>;
    // How many numbers a container's element is: 0 if none of these.
    template <class U> struct numbers : std::integral_constant<std::size_t, fits<U> ? 1 : 0> {};
    template <std::size_t N> struct numbers<std::array<value, N>> : std::integral_constant<std::size_t, N> {};
    template <std::size_t N>
    struct numbers<const std::array<value, N>> : std::integral_constant<std::size_t, std::is_const_v<T> ? N : 0> {};
    template <class C> using element = std::remove_pointer_t<decltype(std::declval<C &>().data())>;

public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class U, std::size_t N, class = std::enable_if_t<fits<U>>>
    constexpr span(U (&array)[N]) noexcept : data_(array), size_(N) {}
    template <class C, class = std::enable_if_t<numbers<element<C>>::value != 0>, class = decltype(std::declval<C &>().size())>
    span(C &container) : size_(container.size() * numbers<element<C>>::value) {
        static_assert(sizeof(element<C>) == numbers<element<C>>::value * sizeof(T), "numbers one after the other");
        if constexpr (fits<element<C>>)
            data_ = container.data();
        else if (container.size() > 0)
            data_ = container.data()->data();
    }

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t index) const { return data_[index]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

namespace detail {

inline void check(fsn_status status) {
    if (status != FSN_SUCCESS)
        throw error(status, fsn_last_error());
}

[[noreturn]] inline void refuse(const std::string &reason) {
    throw error(FSN_INVALID_ARGUMENT, "invalid argument: " + reason);
}

// A string of C, which ends at the first null character.
inline const char *text(const std::string &value, const char *name) {
    if (value.find('\0') != std::string::npos)
        refuse(std::string(name) + " has a null character");
    return value.c_str();
}

// The pointer of an array that has as many numbers as it must, or is left out by being empty.
template <class T> T *optional(span<T> array, std::size_t size, const char *name) {
    if (array.empty())
        return nullptr;
    if (array.size() != size)
        refuse(std::string(name) + " has " + std::to_string(array.size()) + " numbers, must have " + std::to_string(size));
    return array.data();
}

// The same for an array that must be there.
template <class T> T *required(span<T> array, std::size_t size, const char *name) {
    if (array.empty() && size > 0)
        refuse(std::string(name) + " has 0 numbers, must have " + std::to_string(size));
    return optional(array, size, name);
}

template <class T> T sized() {
    T value{};
    value.size = sizeof(T);
    return value;
}

} // namespace detail

// A loaded model. Immutable: it may be used from several threads at once.
class model {
public:
    // Reads a model file.
    explicit model(const std::string &path) {
        fsn_model *made = nullptr;
        detail::check(fsn_model_load(detail::text(path, "path"), &made));
        handle_.reset(made);
    }

    // Reads a model file that is in memory; `name` stands for its path in error texts.
    static model from_bytes(const std::string &name, span<const std::uint8_t> bytes) {
        fsn_model *made = nullptr;
        detail::check(fsn_model_load_buffer(detail::text(name, "name"), bytes.data(), bytes.size(), &made));
        return model(made);
    }

    // What the model is; its texts are valid as long as the model.
    fsn_model_info info() const {
        auto info = detail::sized<fsn_model_info>();
        detail::check(fsn_model_get_info(get(), &info));
        return info;
    }

    // Its atom or bead types; their names are valid as long as the model.
    std::vector<fsn_type> types() const {
        std::vector<fsn_type> types(info().types, detail::sized<fsn_type>());
        for (std::size_t index = 0; index < types.size(); index++)
            detail::check(fsn_model_get_type(get(), index, &types[index]));
        return types;
    }

    // Its analytic priors; their names are valid as long as the model.
    std::vector<fsn_prior> priors() const {
        std::vector<fsn_prior> priors(info().priors, detail::sized<fsn_prior>());
        for (std::size_t index = 0; index < priors.size(); index++)
            detail::check(fsn_model_get_prior(get(), index, &priors[index]));
        return priors;
    }

    // Its description, JSON.
    std::string description() const {
        const char *text = fsn_model_description(get());
        return text ? text : "";
    }

    // The handle, for functions of flashschnet.h; null after the model was moved from.
    const fsn_model *get() const noexcept { return handle_.get(); }

private:
    struct free {
        void operator()(fsn_model *handle) const noexcept { fsn_model_free(handle); }
    };
    explicit model(fsn_model *handle) noexcept : handle_(handle) {}

    std::unique_ptr<fsn_model, free> handle_;
};

// Choices for a potential: the fields of fsn_options, or set from texts.
struct options : fsn_options {
    options() noexcept : fsn_options(detail::sized<fsn_options>()) {}

    // Sets a choice as fsn_options_set does, for example set("precision", "double").
    options &set(const std::string &key, const std::string &value) {
        detail::check(fsn_options_set(this, detail::text(key, "key"), detail::text(value, "value")));
        return *this;
    }
};

// One structure, or independent ones with their atoms one after the other; see fsn_structures.
struct structures {
    span<const double> positions;         // atoms × 3
    span<const std::int32_t> types;       // atoms
    span<const double> cells;             // structures × 3 × 3, lattice vectors as rows; empty: no cell
    span<const std::uint8_t> periodic;    // structures × 3; empty: all directions where there is a cell
    span<const std::size_t> offsets;      // structures + 1; empty: one structure
    span<const std::int32_t> topologies;  // structures; empty: found by the types. Only for priors
    // Pairs × 2; a model with excluded bonds must be given it.
    std::optional<span<const std::int32_t>> excluded;
};

// Where results go; what is empty is not wanted. See fsn_results.
struct results {
    span<double> energies;      // structures; 1 for a domain
    span<double> atom_energies; // atoms; owned atoms for a domain
    span<double> forces;        // atoms × 3
    span<double> virials;       // structures × 3 × 3; 3 × 3 for a domain
    span<double> atom_virials;  // atoms × 3 × 3
    span<double> term_energies; // structures × (1 + priors); not for a domain
};

// A host's own list of neighbours; see fsn_neighbors.
struct neighbors {
    std::size_t atoms = 0;                // owned and ghost atoms
    span<const std::size_t> offsets;      // owned + 1, from 0
    span<const std::int32_t> neighbors;   // offsets[owned]
    span<const std::int32_t> owners;      // atoms; empty: there are no ghosts, or every one is exchanged by itself
    std::int32_t base = 0;                // what the host counts atoms from: 0 or 1
};

// The atoms of the terms of one prior, counted from 0: terms × atoms of a term.
struct terms {
    std::string prior;
    span<const std::int32_t> atoms;
};

// A molecule that the model's file does not have, for potential::add_topology; see fsn_topology.
struct topology {
    std::string name;
    span<const std::int32_t> types;       // atoms
    std::vector<flashschnet::terms> terms; // of every prior of the model, in any order
};

// What a simulation is told; what is empty or zero is its default. See fsn_settings.
struct settings {
    std::int32_t integrator = FSN_LANGEVIN;  // or FSN_VERLET
    double timestep = 0;                     // ps
    double friction = 0;                     // 1/ps
    std::uint64_t seed = 0;
    span<const double> thermal_energies;     // replicas: k·T
    span<const double> masses;               // atoms, in u
    span<const double> velocities;           // atoms × 3
    span<const std::uint32_t> streams;       // replicas
    std::uint64_t exchange_interval = 0;     // steps; 0: never
    span<const std::int32_t> ladders;        // replicas
    double largest_step = 0;
};

// Where the state of a simulation goes; what is empty is not wanted. See fsn_state.
struct state {
    span<double> positions;        // atoms × 3
    span<double> velocities;       // atoms × 3
    span<double> forces;           // atoms × 3
    span<double> energies;         // replicas
    span<double> kinetic_energies; // replicas
    span<double> term_energies;    // replicas × (1 + priors)
    span<std::uint32_t> walkers;   // replicas
    span<std::uint64_t> frozen;    // replicas
};

// Rows of numbers: of owned atoms, then of each ghost that is its own owner, or of each ghost if no owners were given.
class rows {
public:
    rows(void *data, std::size_t atoms, std::size_t width, std::size_t element_size) noexcept
        : data_(data), atoms_(atoms), width_(width), element_size_(element_size) {}

    void *data() const noexcept { return data_; }
    std::size_t atoms() const noexcept { return atoms_; }
    std::size_t width() const noexcept { return width_; }
    // 4: the numbers are float; 8: they are double.
    std::size_t element_size() const noexcept { return element_size_; }

    // Calls `function` with the numbers as span<float> or span<double>, whichever they are.
    template <class F> void visit(F &&function) const {
        if (element_size_ == sizeof(float))
            function(span<float>(static_cast<float *>(data_), atoms_ * width_));
        else
            function(span<double>(static_cast<double *>(data_), atoms_ * width_));
    }

private:
    void *data_;
    std::size_t atoms_, width_, element_size_;
};

// A host's communication between the owned atoms and the ghosts of its domains; see fsn_exchange. What it throws comes
// out of potential::compute_domain.
class exchange {
public:
    virtual ~exchange() = default;
    // Fills the rows of ghosts from those of the atoms that they are copies of.
    virtual void forward(rows values) = 0;
};

// The same for rows in a GPU's memory; see fsn_device_exchange.
class device_exchange {
public:
    virtual ~device_exchange() = default;
    virtual void forward(const fsn_device_rows &values) = 0;
};

// The positions of a host's atoms, for the list that was set; see fsn_domain.
struct domain {
    span<const double> positions;             // atoms × 3
    span<const std::int32_t> types;           // atoms
    flashschnet::exchange *exchange = nullptr; // not needed if all ghosts are copies of owned atoms
    // Called in place of the other where the potential is on a GPU.
    flashschnet::device_exchange *on_device = nullptr;
};

namespace detail {

// `counted` says whether atoms are counted by types, or by positions where types are not needed.
inline fsn_structures given(const structures &from, bool counted) {
    auto to = sized<fsn_structures>();
    to.structures = from.offsets.empty() ? 1 : from.offsets.size() - 1;
    to.offsets = from.offsets.data();
    to.atoms = counted ? from.types.size() : from.positions.size() / 3;
    to.positions = required(from.positions, 3 * to.atoms, "positions");
    to.types = counted ? from.types.data() : nullptr;
    to.cells = optional(from.cells, 9 * to.structures, "cells");
    to.periodic = optional(from.periodic, 3 * to.structures, "periodic");
    to.topologies = optional(from.topologies, to.structures, "topologies");
    if (from.excluded) {
        static const std::int32_t none = 0;
        to.excluded_pairs = from.excluded->size() / 2;
        to.excluded = from.excluded->empty() ? &none : required(*from.excluded, 2 * to.excluded_pairs, "excluded");
    }
    return to;
}

// Where `priors` is not called unless it is needed.
template <class F>
fsn_results given(const results &from, std::size_t structures, std::size_t atoms, std::size_t owned, F &&priors) {
    auto to = sized<fsn_results>();
    to.energies = optional(from.energies, structures, "energies");
    to.atom_energies = optional(from.atom_energies, owned, "atom_energies");
    to.forces = optional(from.forces, 3 * atoms, "forces");
    to.virials = optional(from.virials, 9 * structures, "virials");
    to.atom_virials = optional(from.atom_virials, 9 * atoms, "atom_virials");
    if (!from.term_energies.empty())
        to.term_energies = optional(from.term_energies, structures * (1 + priors()), "term_energies");
    return to;
}

// An exchange as the library calls it, which no exception may pass through.
struct callbacks {
    exchange *host;
    device_exchange *device;
    std::size_t rows_;
    std::exception_ptr thrown;

    static std::int32_t forward(void *context, void *data, std::size_t width, std::size_t element_size) noexcept {
        auto &to = *static_cast<callbacks *>(context);
        return to.keep([&] { to.host->forward(rows(data, to.rows_, width, element_size)); });
    }

    static std::int32_t forward_on_device(void *context, const fsn_device_rows *values) noexcept {
        auto &to = *static_cast<callbacks *>(context);
        return to.keep([&] { to.device->forward(*values); });
    }

private:
    template <class Call> std::int32_t keep(Call call) noexcept {
        try {
            call();
            return 0;
        } catch (...) {
            thrown = std::current_exception();
            return 1;
        }
    }
};

} // namespace detail

// A model on a device, with its workspace. Threads that share one take turns; two work side by side.
class potential {
public:
    explicit potential(const model &model, const options &options = {}) {
        fsn_potential *made = nullptr;
        detail::check(fsn_potential_new(model.get(), &options, &made));
        handle_.reset(made);
        for (const auto &prior : model.priors())
            priors_.emplace_back(prior.name, prior.atoms);
    }

    // How it computes.
    fsn_potential_info info() const {
        auto info = detail::sized<fsn_potential_info>();
        detail::check(fsn_potential_get_info(get(), &info));
        return info;
    }

    // Computes structures, whose neighbours the library finds.
    void compute(const structures &structures, const results &results) {
        const auto input = detail::given(structures, true);
        const auto output = detail::given(results, input.structures, input.atoms, input.atoms, [this] { return info().priors; });
        detail::check(fsn_potential_compute(get(), &input, &output));
    }

    // Puts the computation of structures on a stream of CUDA (cudaStream_t or CUstream; null: the default one), with every
    // array in the memory of the potential's GPU, where nothing is copied. The results are there when the stream is done, and
    // what went wrong is told by check(). See fsn_potential_enqueue.
    void enqueue(const structures &structures, const results &results, void *stream = nullptr) {
        const auto input = detail::given(structures, true);
        const auto output = detail::given(results, input.structures, input.atoms, input.atoms, [this] { return info().priors; });
        detail::check(fsn_potential_enqueue(get(), &input, &output, stream));
    }

    // Waits for a stream, and throws the first thing that went wrong in what was enqueued since the last check. FSN_AGAIN:
    // enqueue that once more. See fsn_potential_check.
    void check(void *stream = nullptr) { detail::check(fsn_potential_check(get(), stream)); }

    // Adds a molecule to those that priors can be evaluated for, and returns its number, for structures::topologies.
    std::int32_t add_topology(const topology &molecule) {
        std::vector<const char *> names;
        std::vector<std::size_t> counts;
        std::vector<const std::int32_t *> lists;
        for (const auto &terms : molecule.terms) {
            names.push_back(detail::text(terms.prior, "prior"));
            // The library refuses names that it does not know.
            std::size_t width = terms.atoms.size();
            for (const auto &prior : priors_)
                width = prior.first == terms.prior ? prior.second : width;
            if (width > 0 && terms.atoms.size() % width != 0)
                detail::refuse("terms of " + terms.prior + " have " + std::to_string(terms.atoms.size()) +
                               " atoms, must have " + std::to_string(width) + " each");
            counts.push_back(width > 0 ? terms.atoms.size() / width : 0);
            lists.push_back(terms.atoms.data());
        }
        auto given = detail::sized<fsn_topology>();
        given.name = detail::text(molecule.name, "name");
        given.atoms = molecule.types.size();
        given.types = molecule.types.data();
        given.lists = names.size();
        given.priors = names.data();
        given.counts = counts.data();
        given.terms = lists.data();
        std::int32_t number = 0;
        detail::check(fsn_potential_add_topology(get(), &given, &number));
        return number;
    }

    // Takes over a host's list, for compute_domain; call it when the list has changed.
    void set_neighbors(const neighbors &list) {
        auto given = detail::sized<fsn_neighbors>();
        given.owned = list.offsets.empty() ? 0 : list.offsets.size() - 1;
        given.atoms = list.atoms;
        given.offsets = list.offsets.data();
        if (!list.offsets.empty())
            given.neighbors = detail::required(list.neighbors, list.offsets[given.owned], "neighbors");
        given.owners = detail::optional(list.owners, list.atoms, "owners");
        given.base = list.base;
        detail::check(fsn_potential_set_neighbors(get(), &given));
        owned_ = rows_ = given.owned;
        for (std::size_t i = owned_; i < given.atoms; i++)
            rows_ += list.owners.empty() || static_cast<std::size_t>(list.owners[i] - list.base) == i;
    }

    // Computes a host's domain with the list that was set.
    void compute_domain(const domain &domain, const results &results) {
        auto input = detail::sized<fsn_domain>();
        input.atoms = domain.types.size();
        input.positions = detail::required(domain.positions, 3 * input.atoms, "positions");
        input.types = domain.types.data();
        detail::callbacks callbacks{domain.exchange, domain.on_device, rows_, nullptr};
        input.context = &callbacks;
        if (domain.exchange)
            input.forward = detail::callbacks::forward;
        if (domain.on_device)
            input.forward_on_device = detail::callbacks::forward_on_device;
        const auto output = detail::given(results, 1, input.atoms, owned_, [this] { return info().priors; });
        const auto status = fsn_potential_compute_domain(get(), &input, &output);
        if (callbacks.thrown)
            std::rethrow_exception(callbacks.thrown);
        detail::check(status);
    }

    // The handle, for functions of flashschnet.h; null after the potential was moved from.
    fsn_potential *get() const noexcept { return handle_.get(); }

private:
    struct free {
        void operator()(fsn_potential *handle) const noexcept { fsn_potential_free(handle); }
    };
    std::unique_ptr<fsn_potential, free> handle_;
    // Names of the model's priors, and atoms of their terms.
    std::vector<std::pair<std::string, std::size_t>> priors_;
    std::size_t owned_ = 0, rows_ = 0;
};

// Replicas that move together under a potential, which may be freed first. Threads that share one take turns.
class simulation {
public:
    simulation(potential &potential, const structures &structures, const settings &settings) {
        const auto input = detail::given(structures, true);
        replicas_ = input.structures;
        atoms_ = input.atoms;
        terms_ = replicas_ * (1 + potential.info().priors);
        auto told = detail::sized<fsn_settings>();
        told.integrator = settings.integrator;
        told.timestep = settings.timestep;
        told.friction = settings.friction;
        told.seed = settings.seed;
        told.thermal_energies = detail::required(settings.thermal_energies, replicas_, "thermal_energies");
        told.masses = detail::optional(settings.masses, atoms_, "masses");
        told.velocities = detail::optional(settings.velocities, 3 * atoms_, "velocities");
        told.streams = detail::optional(settings.streams, replicas_, "streams");
        told.exchange_interval = settings.exchange_interval;
        told.ladders = detail::optional(settings.ladders, replicas_, "ladders");
        told.largest_step = settings.largest_step;
        fsn_simulation *made = nullptr;
        detail::check(fsn_simulation_new(potential.get(), &input, &told, &made));
        handle_.reset(made);
    }

    void run(std::uint64_t steps) { detail::check(fsn_simulation_run(get(), steps)); }

    // Steps made so far.
    std::uint64_t steps() const {
        std::uint64_t steps = 0;
        auto to = detail::sized<fsn_state>();
        to.steps = &steps;
        detail::check(fsn_simulation_get_state(get(), &to));
        return steps;
    }

    // Copies the state.
    void get_state(const state &state) const {
        auto to = detail::sized<fsn_state>();
        to.positions = detail::optional(state.positions, 3 * atoms_, "positions");
        to.velocities = detail::optional(state.velocities, 3 * atoms_, "velocities");
        to.forces = detail::optional(state.forces, 3 * atoms_, "forces");
        to.energies = detail::optional(state.energies, replicas_, "energies");
        to.kinetic_energies = detail::optional(state.kinetic_energies, replicas_, "kinetic_energies");
        to.term_energies = detail::optional(state.term_energies, terms_, "term_energies");
        to.walkers = detail::optional(state.walkers, replicas_, "walkers");
        to.frozen = detail::optional(state.frozen, replicas_, "frozen");
        detail::check(fsn_simulation_get_state(get(), &to));
    }

    // Why a replica stands still; empty if it does not.
    std::string reason(std::size_t replica) const {
        const char *text = fsn_simulation_get_reason(get(), replica);
        return text ? text : "";
    }

    // The pairs of neighbouring temperatures and their exchanges.
    std::vector<fsn_exchanges> exchanges() const {
        std::size_t count = 0;
        auto to = detail::sized<fsn_state>();
        to.pairs = &count;
        detail::check(fsn_simulation_get_state(get(), &to));
        std::vector<fsn_exchanges> pairs(count, detail::sized<fsn_exchanges>());
        for (std::size_t index = 0; index < count; index++)
            detail::check(fsn_simulation_get_exchanges(get(), index, &pairs[index]));
        return pairs;
    }

    // All that the next step depends on.
    std::vector<std::uint8_t> checkpoint() const {
        std::size_t length = 0;
        detail::check(fsn_simulation_checkpoint(get(), nullptr, &length));
        std::vector<std::uint8_t> bytes(length);
        detail::check(fsn_simulation_checkpoint(get(), bytes.data(), &length));
        bytes.resize(length);
        return bytes;
    }

    // Goes on from a checkpoint of a simulation that was told the same.
    void restore(span<const std::uint8_t> bytes) {
        detail::check(fsn_simulation_restore(get(), bytes.data(), bytes.size()));
    }

    // The handle, for functions of flashschnet.h; null after the simulation was moved from.
    fsn_simulation *get() const noexcept { return handle_.get(); }

private:
    struct free {
        void operator()(fsn_simulation *handle) const noexcept { fsn_simulation_free(handle); }
    };
    std::unique_ptr<fsn_simulation, free> handle_;
    std::size_t replicas_ = 0, atoms_ = 0, terms_ = 0;
};

// All directed pairs of atoms closer than a cutoff; see fsn_pairs. Types need not be given.
class neighbor_list {
public:
    neighbor_list(const structures &structures, double cutoff) {
        const auto input = detail::given(structures, false);
        fsn_neighbor_list *made = nullptr;
        detail::check(fsn_neighbor_list_new(&input, cutoff, &made));
        handle_.reset(made);
        pairs_ = detail::sized<fsn_pairs>();
        detail::check(fsn_neighbor_list_get(made, &pairs_));
    }

    // Pairs of atom i are offsets()[i] to offsets()[i + 1] − 1 of the others. Valid as long as the list.
    span<const std::size_t> offsets() const noexcept { return {pairs_.offsets, pairs_.atoms + 1}; }
    span<const std::uint32_t> neighbors() const noexcept { return {pairs_.neighbors, pairs_.pairs}; }
    span<const std::int32_t> shifts() const noexcept { return {pairs_.shifts, 3 * pairs_.pairs}; }

private:
    struct free {
        void operator()(fsn_neighbor_list *handle) const noexcept { fsn_neighbor_list_free(handle); }
    };
    std::unique_ptr<fsn_neighbor_list, free> handle_;
    fsn_pairs pairs_{};
};

} // namespace flashschnet

#endif // FLASHSCHNET_HPP
