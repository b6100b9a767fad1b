// flashschnet.hpp: molecules that the model's file does not have, and dynamics. The argument is a file with one prior `p`,
// harmonic bonds by type, and no network; prints the positions of three replicas of a chain of three beads after 40 steps.

#include <flashschnet.hpp>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace fsn = flashschnet;

static_assert(std::is_nothrow_move_constructible_v<fsn::simulation> && !std::is_copy_constructible_v<fsn::simulation>);

namespace {

int failures = 0;

void require(bool holds, const char *what) {
    if (!holds) {
        std::printf("NOT TRUE: %s\n", what);
        failures++;
    }
}

template <class F> void refuses(const std::string &text, F &&call) {
    try {
        call();
        require(false, ("refused: " + text).c_str());
    } catch (const fsn::error &error) {
        if (error.status() != FSN_INVALID_ARGUMENT || error.what() != "invalid argument: " + text) {
            std::printf("EXPECTED %s, NOT %d %s\n", text.c_str(), error.status(), error.what());
            failures++;
        }
    }
}

using vectors = std::array<std::array<double, 3>, 9>;

vectors positions(const fsn::simulation &simulation) {
    vectors found{};
    fsn::state state;
    state.positions = found;
    simulation.get_state(state);
    return found;
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    const std::array<std::int32_t, 9> types{1, 2, 3, 1, 2, 3, 1, 2, 3};
    const std::array<std::int32_t, 4> bonds{0, 1, 1, 2};
    const std::array<std::size_t, 4> offsets{0, 3, 6, 9};
    vectors start{};
    for (std::size_t i = 0; i < 9; i++)
        start[i] = {1.1 * static_cast<double>(i % 3), 0.1 * static_cast<double>(i), 0.0};
    fsn::options options;
    options.set("precision", "double").set("threads", "1");
    fsn::potential potential(fsn::model(argv[1]), options);

    fsn::topology chain;
    chain.name = "chain";
    chain.types = {types.data(), 3};
    chain.terms = {{"p", {bonds.data(), 3}}};
    refuses("terms of p have 3 atoms, must have 2 each", [&] { potential.add_topology(chain); });
    chain.terms = {{std::string("p\0q", 3), bonds}};
    refuses("prior has a null character", [&] { potential.add_topology(chain); });
    chain.terms = {{"p", bonds}};
    const std::int32_t number = potential.add_topology(chain);
    require(number == 1, "it is the second molecule, after the file's");
    chain.terms[0].prior = "q";
    try {
        potential.add_topology(chain);
        require(false, "an unknown prior is refused");
    } catch (const fsn::error &error) {
        require(error.status() == FSN_INVALID_ARGUMENT, "by the library");
    }

    const std::array<std::int32_t, 3> topologies{number, number, number};
    const std::array<double, 3> thermal{0.5, 0.6, 0.7};
    const std::array<std::uint32_t, 3> streams{4, 2, 7};
    const std::array<std::int32_t, 3> ladders{0, 0, -1};
    fsn::structures chains;
    chains.positions = start;
    chains.types = types;
    chains.offsets = offsets;
    chains.topologies = topologies;
    fsn::settings settings;
    settings.timestep = 0.002;
    settings.friction = 3.0;
    settings.seed = 11;
    settings.thermal_energies = thermal;
    settings.streams = streams;
    settings.exchange_interval = 5;
    settings.ladders = ladders;

    fsn::simulation simulation(potential, chains, settings);
    simulation.run(20);
    const auto checkpoint = simulation.checkpoint();
    simulation.run(20);
    require(simulation.steps() == 40 && simulation.reason(0).empty() && simulation.reason(99).empty(), "steps are made");
    const auto pairs = simulation.exchanges();
    require(pairs.size() == 1 && pairs[0].colder == 0 && pairs[0].warmer == 1 && pairs[0].attempts > 0, "and exchanges");

    std::array<double, 3> energies{}, kinetic{};
    std::array<double, 6> terms{};
    std::array<std::uint32_t, 3> walkers{};
    std::array<std::uint64_t, 3> frozen{1, 1, 1};
    fsn::state state;
    state.energies = energies;
    state.kinetic_energies = kinetic;
    state.term_energies = terms;
    state.walkers = walkers;
    state.frozen = frozen;
    simulation.get_state(state);
    require(terms[1] == energies[0] && terms[5] == energies[2] && kinetic[2] > 0.0, "energies are by term");
    require(walkers[2] == 2 && frozen[0] + frozen[1] + frozen[2] == 0, "and walkers, and what is frozen, are told");

    fsn::simulation other(potential, chains, settings);
    other.restore(checkpoint);
    other.run(20);
    require(positions(other) == positions(simulation), "a checkpoint goes on to the bit");
    fsn::simulation moved = std::move(other);
    refuses("simulation is a null pointer", [&] { other.run(1); });
    require(moved.steps() == 40 && other.reason(0).empty(), "a handle moves");

    refuses("the checkpoint is damaged or cut off", [&] { moved.restore({checkpoint.data(), checkpoint.size() - 1}); });
    refuses("energies has 2 numbers, must have 3", [&] {
        fsn::state wrong;
        wrong.energies = {energies.data(), 2};
        moved.get_state(wrong);
    });
    for (auto [change, text] : {
             std::pair<void (*)(fsn::settings &), const char *>{[](auto &s) { s.timestep = 0.0; },
                                                               "timestep is 0, must be positive and finite"},
             {[](auto &s) { s.thermal_energies = {}; }, "thermal_energies has 0 numbers, must have 3"},
             {[](auto &s) { s.masses = s.thermal_energies; }, "masses has 3 numbers, must have 9"},
             {[](auto &s) { s.integrator = 2; }, "integrator is 2, not FSN_LANGEVIN or FSN_VERLET"},
         }) {
        auto wrong = settings;
        change(wrong);
        refuses(text, [&] { fsn::simulation never(potential, chains, wrong); });
    }

    for (const auto &position : positions(simulation))
        for (double coordinate : position)
            std::printf("%.17g\n", coordinate);
    return failures != 0;
}
