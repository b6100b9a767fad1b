// flashschnet.hpp: what handles, views and errors are. The argument is the file of `small_network`; prints energy and
// forces of water.

#include <flashschnet.hpp>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <list>
#include <stdexcept>
#include <vector>

// The same header in another translation unit, or twice in this one, is no trouble.
#include <flashschnet.hpp>

namespace fsn = flashschnet;

// Handles move and do not copy; exceptions copy.
template <class T>
constexpr bool moves_only = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                            !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(moves_only<fsn::model> && moves_only<fsn::potential> && moves_only<fsn::neighbor_list>);
static_assert(std::is_nothrow_copy_constructible_v<fsn::error>);

// Views are made of what has numbers of the right kind one after the other, and of nothing that is gone at once.
template <class From, class To> constexpr bool fits = std::is_convertible_v<From, To>;
using input = fsn::span<const double>;
using output = fsn::span<double>;
static_assert(fits<std::vector<double> &, input> && fits<const std::vector<double> &, input>);
static_assert(fits<std::vector<std::array<double, 3>> &, output> && fits<const std::vector<std::array<double, 3>> &, input>);
static_assert(fits<std::array<double, 9> &, output> && fits<double (&)[9], output> && fits<output &, input>);
static_assert(!fits<const std::vector<double> &, output> && !fits<const std::array<double, 9> &, output>);
static_assert(!fits<const std::vector<std::array<double, 3>> &, output>);
static_assert(!fits<std::vector<float> &, input> && !fits<std::vector<int> &, input> && !fits<std::list<double> &, input>);
static_assert(!fits<std::vector<double>, input> && !fits<double, input> && !fits<std::vector<bool> &, input>);

namespace {

int failures = 0;

void require(bool holds, const char *what) {
    if (!holds) {
        std::printf("  NOT TRUE: %s\n", what);
        failures++;
    }
}

// What a call is refused with.
template <class F> void refuses(fsn_status status, const std::string &text, F &&call) {
    try {
        call();
        require(false, ("refused: " + text).c_str());
    } catch (const fsn::error &error) {
        if (error.status() != status || error.what() != text) {
            std::printf("  EXPECTED %d %s, NOT %d %s\n", status, text.c_str(), error.status(), error.what());
            failures++;
        }
    }
}

void handles(const std::string &path) {
    fsn::model model(path);
    require(model.info().blocks == 2 && model.types().size() == 2, "the model has information");
    require(std::string(model.types()[1].name) == "O" && model.description()[0] == '{', "and types, and a description");
    std::ifstream file(path, std::ios::binary);
    const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    require(fsn::model::from_bytes("m", bytes).info().parameters == model.info().parameters, "bytes are a model, too");

    fsn::model other = std::move(model);
    require(other.info().blocks == 2 && model.get() == nullptr, "a handle moves");
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: model is a null pointer", [&] { model.info(); });
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: model is a null pointer", [&] { fsn::potential potential(model); });
    require(model.description().empty(), "no model has no description");
    model = std::move(other);

    refuses(FSN_IO_ERROR, "cannot read nowhere: No such file or directory (os error 2)", [] { fsn::model("nowhere"); });
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: path has a null character", [] { fsn::model(std::string(2, '\0')); });
    refuses(FSN_MODEL_ERROR, "m: container: is not a whole safetensors file: it has 0 bytes",
            [] { fsn::model::from_bytes("m", {}); });
    fsn::options options;
    options.set("precision", "double").set("threads", "1");
    require(options.precision == FSN_PRECISION_DOUBLE && options.threads == 1, "options are set");
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: precision is \"quadruple\", must be one of single, double, half",
            [&] { options.set("precision", "quadruple"); });
    fsn::potential potential(model, options);
    require(potential.info().threads == 1 && std::string(potential.info().precision) == "double", "a potential says how");
    fsn::potential taken = std::move(potential);
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: potential is a null pointer", [&] { potential.info(); });
}

void lengths(fsn::potential &potential, fsn::structures water) {
    std::array<double, 8> eight{};
    double energy = 7.0;
    fsn::results results;
    results.energies = {&energy, 1};
    potential.compute(water, results);
    require(energy != 7.0, "what is not wanted may be left out");
    energy = 7.0;
    results.forces = eight;
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: forces has 8 numbers, must have 9",
            [&] { potential.compute(water, results); });
    results.forces = {};
    auto other = water;
    other.positions = eight;
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: positions has 8 numbers, must have 9",
            [&] { potential.compute(other, results); });
    other = water;
    other.cells = eight;
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: cells has 8 numbers, must have 9",
            [&] { potential.compute(other, results); });
    results.term_energies = eight;
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: term_energies has 8 numbers, must have 1",
            [&] { potential.compute(water, results); });
    results.term_energies = {};
    other = water;
    const std::array<std::size_t, 2> offsets{0, 2};
    other.offsets = offsets;
    try {
        potential.compute(other, results);
        require(false, "offsets that end too early are refused");
    } catch (const fsn::error &error) {
        require(error.status() == FSN_INVALID_ARGUMENT, "with the library's text");
    }
    require(energy == 7.0, "nothing that is refused writes results");
}

void excluded(fsn::potential &potential, fsn::structures water) {
    double all = 0.0, none = 0.0, without = 0.0;
    const std::array<std::int32_t, 2> bond{0, 1};
    fsn::results results;
    results.energies = {&all, 1};
    potential.compute(water, results);
    water.excluded.emplace();
    results.energies = {&none, 1};
    potential.compute(water, results);
    water.excluded = bond;
    results.energies = {&without, 1};
    potential.compute(water, results);
    require(all == none && all != without, "pairs are left out");
}

// What there is to see without a GPU; with one, tests/c/gpu.c computes there.
void resident(fsn::potential &potential, fsn::structures water) {
    double energy = 7.0;
    fsn::results results;
    results.energies = {&energy, 1};
    const std::string text = "not supported: the potential is not on a GPU: make it with device cuda";
    refuses(FSN_UNSUPPORTED, text, [&] { potential.enqueue(water, results); });
    refuses(FSN_UNSUPPORTED, text, [&] { potential.check(); });
    results.energies = {&energy, 2};
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: energies has 2 numbers, must have 1",
            [&] { potential.enqueue(water, results); });
    require(energy == 7.0, "what is not on a GPU is not written");
}

// An exchange on a GPU; tests/common/cuda_checks.rs has engines call one.
struct on_device : fsn::device_exchange {
    void forward(const fsn_device_rows &) override { throw std::logic_error("a processor has no GPU's rows"); }
};

void domains(fsn::potential &potential, const fsn::structures &water) {
    const std::size_t offsets[] = {0, 2, 4, 6};
    const std::int32_t neighbors[] = {1, 2, 0, 2, 0, 1};
    fsn::neighbors list;
    list.atoms = 3;
    list.offsets = {offsets, 4};
    list.neighbors = {neighbors, 6};
    potential.set_neighbors(list);
    on_device exchange;
    double energy = 7.0;
    fsn::domain domain;
    domain.positions = water.positions;
    domain.types = water.types;
    domain.on_device = &exchange;
    fsn::results results;
    results.energies = {&energy, 1};
    refuses(FSN_INVALID_ARGUMENT, "invalid argument: forward is null: forward_on_device serves potentials on a GPU alone",
            [&] { potential.compute_domain(domain, results); });
    require(energy == 7.0, "an exchange for a GPU leaves the results alone");
    domain.on_device = nullptr;
    potential.compute_domain(domain, results);
    require(energy != 7.0, "nothing is elsewhere, and needs no exchange");
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    handles(argv[1]);
    std::vector<std::array<double, 3>> positions{{0.0, 0.0, 0.0}, {0.96, 0.0, 0.0}, {-0.24, 0.93, 0.0}};
    const std::vector<std::int32_t> types{8, 1, 1};
    fsn::structures water;
    water.positions = positions;
    water.types = types;
    fsn::options options;
    options.precision = FSN_PRECISION_DOUBLE;
    fsn::potential potential(fsn::model(argv[1]), options);
    lengths(potential, water);
    excluded(potential, water);
    resident(potential, water);
    domains(potential, water);

    const fsn::neighbor_list list(water, 3.0);
    require(list.neighbors().size() == 6 && list.shifts().size() == 18 && list.offsets()[3] == 6, "neighbours are found");
    double energy = 0.0, forces[9], atom_energies[3];
    fsn::results results;
    results.energies = {&energy, 1};
    results.forces = forces;
    results.atom_energies = atom_energies;
    potential.compute(water, results);
    std::printf("%.17g\n", energy);
    for (double force : fsn::span<double>(forces))
        std::printf("%.17g\n", force);
    return failures != 0;
}
