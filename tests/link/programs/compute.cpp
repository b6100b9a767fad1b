// What compute.c does, in C++; see there.
#include <algorithm>
#include <array>
#include <cstdio>
#include <flashschnet.hpp>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace {

using vector = std::array<double, 3>;

// A file of a structure, read number by number: streams of C++ know no NaN.
struct system {
    std::vector<vector> positions;
    std::vector<std::int32_t> types;
    std::array<double, 9> cell{};
    std::array<std::uint8_t, 3> periodic{};

    explicit system(const char *path) {
        std::ifstream file(path);
        const auto number = [&file] {
            std::string word;
            file >> word;
            return std::stod(word);
        };
        const auto atoms = static_cast<std::size_t>(number());
        for (auto &flag : periodic)
            flag = number() != 0.0;
        for (auto &value : cell)
            value = number();
        for (std::size_t i = 0; i < atoms; i++) {
            types.push_back(static_cast<std::int32_t>(number()));
            positions.push_back({number(), number(), number()});
        }
    }

    flashschnet::structures structures() const {
        flashschnet::structures s;
        s.positions = positions;
        s.types = types;
        s.periodic = periodic;
        if (std::any_of(periodic.begin(), periodic.end(), [](auto flag) { return flag != 0; }))
            s.cells = cell;
        return s;
    }
};

// Every image that is a neighbour of an atom as an atom of its own.
class ghosts : public flashschnet::exchange {
public:
    explicit ghosts(bool broken) : broken_(broken) {}

    void set(flashschnet::potential &potential, system &from, double cutoff) {
        const flashschnet::neighbor_list list(from.structures(), cutoff);
        owned_ = from.types.size();
        std::vector<std::array<std::int32_t, 3>> shifts(owned_);
        std::vector<std::int32_t> neighbors;
        for (std::size_t i = 0; i < owned_; i++)
            owners_.push_back(i);
        for (std::size_t p = 0; p < list.neighbors().size(); p++) {
            const std::size_t owner = list.neighbors()[p];
            const auto *s = &list.shifts()[3 * p];
            const std::array<std::int32_t, 3> shift{s[0], s[1], s[2]};
            std::size_t k = 0;
            while (k < owners_.size() && (owners_[k] != owner || shifts[k] != shift))
                k++;
            neighbors.push_back(static_cast<std::int32_t>(k));
            if (k < owners_.size())
                continue;
            owners_.push_back(owner);
            shifts.push_back(shift);
            from.types.push_back(from.types[owner]);
            vector at = from.positions[owner];
            for (std::size_t c = 0; c < 3; c++)
                at[c] += shift[0] * from.cell[c] + shift[1] * from.cell[3 + c] + shift[2] * from.cell[6 + c];
            from.positions.push_back(at);
        }
        flashschnet::neighbors given;
        given.atoms = owners_.size();
        given.offsets = list.offsets();
        given.neighbors = neighbors;
        potential.set_neighbors(given);
    }

    void forward(flashschnet::rows rows) override {
        if (broken_)
            throw std::runtime_error("the host's own trouble");
        rows.visit([&](auto values) {
            for (std::size_t k = owned_; k < rows.atoms(); k++)
                std::copy_n(&values[owners_[k] * rows.width()], rows.width(), &values[k * rows.width()]);
        });
    }

private:
    bool broken_;
    std::size_t owned_ = 0;
    std::vector<std::size_t> owners_;
};

void compute(const std::string &how, int argc, char **argv) {
    system system(argv[3]);
    const auto atoms = system.types.size();
    flashschnet::options options;
    for (int k = 4; k < argc; k++) {
        const std::string choice = argv[k];
        const auto at = choice.find('=');
        options.set(choice.substr(0, at), choice.substr(at + 1));
    }
    flashschnet::model model(argv[2]);
    const double cutoff = model.info().cutoff;
    if (how == "unloaded")
        flashschnet::model(std::move(model));
    flashschnet::potential potential(model, options);
    if (how == "unmade")
        flashschnet::potential(std::move(potential));

    double energy = std::numeric_limits<double>::quiet_NaN();
    std::array<double, 9> virial{};
    std::vector<vector> forces(atoms);
    flashschnet::results results;
    results.energies = {&energy, 1};
    results.virials = virial;
    if (how == "domain" || how == "broken" || how == "unset") {
        ghosts ghosts(how == "broken");
        if (how != "unset")
            ghosts.set(potential, system, cutoff);
        forces.resize(system.types.size());
        results.forces = forces;
        flashschnet::domain domain;
        domain.positions = system.positions;
        domain.types = system.types;
        domain.exchange = &ghosts;
        potential.compute_domain(domain, results);
    } else {
        results.forces = forces;
        potential.compute(system.structures(), results);
    }

    std::printf("%.17g\n", energy);
    for (std::size_t i = 0; i < atoms; i++)
        for (double force : forces[i])
            std::printf("%.17g\n", force);
    for (double value : virial)
        std::printf("%.17g\n", value);
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    try {
        compute(argv[1], argc, argv);
    } catch (const flashschnet::error &error) {
        std::printf("%d %s\n", static_cast<int>(error.status()), error.what());
        return 3;
    } catch (const std::exception &error) {
        std::printf("thrown %s\n", error.what());
        return 3;
    }
}
