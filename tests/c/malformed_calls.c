// Every call that a program can get wrong, with the status and the text it gets. The argument is the file of
// `small_network`: hydrogen and oxygen, two blocks, cutoff 3.

#include <math.h>

#include "check.h"

static const char *status_name(fsn_status status) {
    switch (status) {
    case FSN_SUCCESS: return "FSN_SUCCESS";
    case FSN_INVALID_ARGUMENT: return "FSN_INVALID_ARGUMENT";
    case FSN_IO_ERROR: return "FSN_IO_ERROR";
    case FSN_MODEL_ERROR: return "FSN_MODEL_ERROR";
    case FSN_UNSUPPORTED: return "FSN_UNSUPPORTED";
    case FSN_OUT_OF_MEMORY: return "FSN_OUT_OF_MEMORY";
    case FSN_NUMERICAL_ERROR: return "FSN_NUMERICAL_ERROR";
    case FSN_CALLBACK_ERROR: return "FSN_CALLBACK_ERROR";
    case FSN_DEVICE_ERROR: return "FSN_DEVICE_ERROR";
    case FSN_AGAIN: return "FSN_AGAIN";
    case FSN_INTERNAL_ERROR: return "FSN_INTERNAL_ERROR";
    }
    return "?";
}

// Prints one row of the table and compares it with what is expected.
static void check(const char *call, fsn_status found, fsn_status status, const char *text) {
    const char *said = found == FSN_SUCCESS ? "" : fsn_last_error();
    printf("%s | %s | %s\n", call, status_name(found), said);
    if (found != status || strcmp(said, text) != 0) {
        printf("  EXPECTED %s | %s\n", status_name(status), text);
        failures++;
    }
}

#define ATOMS 3
#define BAD FSN_INVALID_ARGUMENT
#define ARGUMENT "invalid argument: "

static double positions[3 * ATOMS] = {0.0, 0.0, 0.0, 0.96, 0.0, 0.0, -0.24, 0.93, 0.0};
static int32_t types[ATOMS] = {8, 1, 1};
static double cell[9] = {4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 4.0};
static double energy = 7.0;
static double forces[3 * 2 * ATOMS];

static fsn_structures water(void) {
    fsn_structures s = {sizeof s, 1, NULL, ATOMS, positions, types, cell, NULL, 0, NULL, NULL};
    return s;
}

static fsn_results wanted(void) {
    fsn_results r = {sizeof r, &energy, NULL, forces, NULL, NULL, NULL};
    return r;
}

// What is said of a struct whose size is not what it should be. The sizes themselves grow with the library.
static const char *wrong_size(const char *name, const char *size, size_t right) {
    static char text[200];
    snprintf(text, sizeof text, ARGUMENT "%s.size is %s, must be sizeof(%s), %lu bytes", name, size, name,
             (unsigned long)right);
    return text;
}

static void *odd(void *pointer) { return (char *)pointer + 1; }

static void models(const char *path, const unsigned char *bytes, size_t length) {
    fsn_model *model = NULL;
    fsn_model_info info = {.size = sizeof info};
    fsn_type kind = {.size = sizeof kind};
    check("fsn_model_load(NULL path)", fsn_model_load(NULL, &model), BAD, ARGUMENT "path is a null pointer");
    check("fsn_model_load(NULL place)", fsn_model_load(path, NULL), BAD,
          ARGUMENT "the place for the handle is a null pointer");
    check("fsn_model_load(no file)", fsn_model_load("nowhere.safetensors", &model), FSN_IO_ERROR,
          "cannot read nowhere.safetensors: No such file or directory (os error 2)");
    check("fsn_model_load(a folder)", fsn_model_load("/", &model), FSN_IO_ERROR,
          "cannot read /: it is not a regular file");
    check("fsn_model_load(empty path)", fsn_model_load("", &model), FSN_IO_ERROR,
          "cannot read : No such file or directory (os error 2)");
    check("fsn_model_load_buffer(NULL name)", fsn_model_load_buffer(NULL, bytes, length, &model), BAD,
          ARGUMENT "name is a null pointer");
    check("fsn_model_load_buffer(NULL data)", fsn_model_load_buffer("m", NULL, length, &model), BAD,
          ARGUMENT "data is a null pointer");
    check("fsn_model_load_buffer(no data)", fsn_model_load_buffer("m", NULL, 0, &model), FSN_MODEL_ERROR,
          "m: container: is not a whole safetensors file: it has 0 bytes");
    check("fsn_model_load_buffer(length beyond memory)", fsn_model_load_buffer("m", bytes, (size_t)-1, &model), BAD,
          ARGUMENT "the length of data does not fit the address space");
    require(fsn_model_load_buffer("m", bytes, length - 1, &model) == FSN_MODEL_ERROR, "a byte short is refused");
    require(model == NULL, "a failing load leaves the handle alone");
    require(fsn_model_description(NULL) == NULL, "no model has no description");
    fsn_model_free(NULL);

    require(fsn_model_load_buffer("m", bytes, length, &model) == FSN_SUCCESS, "the model is sound");
    check("fsn_model_get_info(NULL model)", fsn_model_get_info(NULL, &info), BAD, ARGUMENT "model is a null pointer");
    check("fsn_model_get_info(NULL info)", fsn_model_get_info(model, NULL), BAD,
          ARGUMENT "fsn_model_info is a null pointer");
    info.size = 0;
    check("fsn_model_get_info(size 0)", fsn_model_get_info(model, &info), BAD,
          wrong_size("fsn_model_info", "0", sizeof(fsn_model_info)));
    info.size = (size_t)-1;
    check("fsn_model_get_info(size -1)", fsn_model_get_info(model, &info), BAD,
          wrong_size("fsn_model_info", "18446744073709551615", sizeof(fsn_model_info)));
    check("fsn_model_get_info(not aligned)", fsn_model_get_info(model, odd(&info)), BAD,
          ARGUMENT "fsn_model_info is not aligned to its type");
    check("fsn_model_get_type(NULL model)", fsn_model_get_type(NULL, 0, &kind), BAD, ARGUMENT "model is a null pointer");
    check("fsn_model_get_type(index 2)", fsn_model_get_type(model, 2, &kind), BAD,
          ARGUMENT "there is no type number 2, the model has 2");
    check("fsn_model_get_type(index -1)", fsn_model_get_type(model, (size_t)-1, &kind), BAD,
          ARGUMENT "there is no type number 18446744073709551615, the model has 2");
    check("fsn_model_get_type(NULL type)", fsn_model_get_type(model, 0, NULL), BAD, ARGUMENT "fsn_type is a null pointer");
    fsn_prior prior = {.size = sizeof prior};
    check("fsn_model_get_prior(NULL model)", fsn_model_get_prior(NULL, 0, &prior), BAD, ARGUMENT "model is a null pointer");
    check("fsn_model_get_prior(index 0 of 0)", fsn_model_get_prior(model, 0, &prior), BAD,
          ARGUMENT "there is no prior number 0, the model has 0");
    fsn_model_free(model);
}

static void options(const fsn_model *model) {
    fsn_options o = {.size = sizeof o};
    fsn_potential *potential = NULL;
    check("fsn_options_set(NULL options)", fsn_options_set(NULL, "skin", "1"), BAD,
          ARGUMENT "fsn_options is a null pointer");
    check("fsn_options_set(NULL key)", fsn_options_set(&o, NULL, "1"), BAD, ARGUMENT "key is a null pointer");
    check("fsn_options_set(NULL value)", fsn_options_set(&o, "skin", NULL), BAD, ARGUMENT "value is a null pointer");
    check("fsn_options_set(colour)", fsn_options_set(&o, "colour", "red"), BAD,
          ARGUMENT "there is no option \"colour\"; there are device, precision, filters, threads, skin and priors");
    check("fsn_options_set(device abacus)", fsn_options_set(&o, "device", "abacus"), BAD,
          ARGUMENT "device is \"abacus\", must be one of auto, cpu, cuda");
    check("fsn_options_set(precision quadruple)", fsn_options_set(&o, "precision", "quadruple"), BAD,
          ARGUMENT "precision is \"quadruple\", must be one of single, double, half");
    check("fsn_options_set(filters coffee)", fsn_options_set(&o, "filters", "coffee"), BAD,
          ARGUMENT "filters is \"coffee\", must be one of auto, exact, table");
    check("fsn_options_set(threads 0)", fsn_options_set(&o, "threads", "0"), BAD,
          ARGUMENT "threads is \"0\", must be a number from 1 on");
    check("fsn_options_set(threads 99999999999)", fsn_options_set(&o, "threads", "99999999999"), BAD,
          ARGUMENT "threads is too large");
    check("fsn_options_set(priors maybe)", fsn_options_set(&o, "priors", "maybe"), BAD,
          ARGUMENT "priors is \"maybe\", must be one of on, off");
    check("fsn_options_set(skin nan)", fsn_options_set(&o, "skin", "nan"), BAD,
          ARGUMENT "skin is \"nan\", must be a number, not negative");
    require(memcmp(&o, &(fsn_options){.size = sizeof o}, sizeof o) == 0, "failing calls leave the options alone");

    check("fsn_potential_new(NULL model)", fsn_potential_new(NULL, &o, &potential), BAD,
          ARGUMENT "model is a null pointer");
    o.precision = FSN_PRECISION_DOUBLE;
    check("fsn_potential_new(NULL place)", fsn_potential_new(model, &o, NULL), BAD,
          ARGUMENT "the place for the handle is a null pointer");
    o.device = 9;
    check("fsn_potential_new(device 9)", fsn_potential_new(model, &o, &potential), BAD,
          ARGUMENT "device is 9, not one of FSN_DEVICE_*");
    o.device = FSN_DEVICE_CPU;
    o.precision = -1;
    check("fsn_potential_new(precision -1)", fsn_potential_new(model, &o, &potential), BAD,
          ARGUMENT "precision is -1, not one of FSN_PRECISION_*");
    o.precision = FSN_PRECISION_DOUBLE;
    o.filters = 3;
    check("fsn_potential_new(filters 3)", fsn_potential_new(model, &o, &potential), BAD,
          ARGUMENT "filters is 3, not one of FSN_FILTERS_*");
    o.filters = FSN_FILTERS_EXACT;
    o.threads = -1;
    check("fsn_potential_new(threads -1)", fsn_potential_new(model, &o, &potential), BAD,
          ARGUMENT "threads is -1, must not be negative");
    o.threads = 1;
    o.skin = NAN;
    check("fsn_potential_new(skin NaN)", fsn_potential_new(model, &o, &potential), BAD,
          ARGUMENT "skin is NaN, must be finite and not negative");
    o.skin = INFINITY;
    check("fsn_potential_new(skin infinite)", fsn_potential_new(model, &o, &potential), BAD,
          ARGUMENT "skin is inf, must be finite and not negative");
    o.skin = 0.0;
    o.size = 8;
    check("fsn_potential_new(size 8)", fsn_potential_new(model, &o, &potential), BAD,
          wrong_size("fsn_options", "8", sizeof(fsn_options)));
    {
        struct {
            fsn_options known;
            double unknown;
        } newer = {{.size = sizeof newer}, 1.0};
        check("fsn_potential_new(a field of the future)", fsn_potential_new(model, &newer.known, &potential),
              FSN_UNSUPPORTED,
              "not supported: fsn_options has fields that this version of the library does not know");
    }
    require(potential == NULL, "a failing call leaves the handle alone");
}

#define COMPUTE(name, status, text) check("fsn_potential_compute(" name ")", fsn_potential_compute(potential, &s, &r), status, text)

static void structures(fsn_potential *potential) {
    fsn_structures s = water();
    fsn_results r = wanted();
    check("fsn_potential_compute(NULL potential)", fsn_potential_compute(NULL, &s, &r), BAD,
          ARGUMENT "potential is a null pointer");
    check("fsn_potential_compute(NULL structures)", fsn_potential_compute(potential, NULL, &r), BAD,
          ARGUMENT "fsn_structures is a null pointer");
    check("fsn_potential_compute(NULL results)", fsn_potential_compute(potential, &s, NULL), BAD,
          ARGUMENT "fsn_results is a null pointer");
    s.size = 1;
    COMPUTE("size 1", BAD, wrong_size("fsn_structures", "1", sizeof(fsn_structures)));
    s = water();
    r.size = 1;
    COMPUTE("results of size 1", BAD, wrong_size("fsn_results", "1", sizeof(fsn_results)));
    r = wanted();
    r.forces = odd(forces);
    COMPUTE("forces not aligned", BAD, ARGUMENT "forces is not aligned to its type");
    r = wanted();
    s.structures = 0;
    COMPUTE("no structures", BAD, ARGUMENT "structures is 0, must be at least 1");
    s.structures = 2;
    COMPUTE("two structures, NULL offsets", BAD, ARGUMENT "offsets is a null pointer");
    {
        size_t offsets[3] = {0, 2, 4};
        double cells[18] = {0};
        s.offsets = offsets;
        s.cells = cells;
        COMPUTE("offsets beyond the atoms", BAD,
                ARGUMENT "structure offsets must run from 0 to the number of atoms, 3");
        offsets[1] = 4;
        offsets[2] = 3;
        COMPUTE("falling offsets", BAD, ARGUMENT "structure offsets falls after element 1");
        offsets[1] = 1;
        COMPUTE("zero cells", BAD, ARGUMENT "structure 0: cell has zero volume (det = 0.0) but is periodic along a: vector a is zero");
    }
    s = water();
    s.positions = NULL;
    COMPUTE("NULL positions", BAD, ARGUMENT "positions is a null pointer");
    s.positions = odd(positions);
    COMPUTE("positions not aligned", BAD, ARGUMENT "positions is not aligned to its type");
    s = water();
    s.types = NULL;
    COMPUTE("NULL types", BAD, ARGUMENT "types is a null pointer");
    s = water();
    s.atoms = (size_t)-1;
    COMPUTE("more atoms than memory", BAD, ARGUMENT "the length of positions does not fit the address space");
    s = water();
    types[1] = 2;
    COMPUTE("an unknown type", BAD, ARGUMENT "atom 1 has type 2, which water.safetensors does not know");
    types[1] = -1;
    COMPUTE("a negative type", BAD, ARGUMENT "atom 1 has type -1, which water.safetensors does not know");
    types[1] = 1;
    positions[4] = NAN;
    COMPUTE("a position that is NaN", BAD, ARGUMENT "position of atom 1 is not finite (y = NaN)");
    positions[4] = -INFINITY;
    COMPUTE("a position that is infinite", BAD, ARGUMENT "position of atom 1 is not finite (y = -inf)");
    positions[4] = 0.0;
    positions[3] = 0.0;
    COMPUTE("two atoms at one point", BAD, ARGUMENT "atoms 0 and 1 are at the same point");
    positions[3] = 4.0;
    COMPUTE("an atom on another's image", BAD, ARGUMENT "atoms 0 and 1 are at the same point");
    positions[3] = 0.96;
    cell[8] = NAN;
    COMPUTE("a cell that is NaN", BAD, ARGUMENT "cell vector c is not finite or out of range (z = NaN)");
    cell[8] = 0.0;
    COMPUTE("a cell of no volume", BAD, ARGUMENT "cell has zero volume (det = 0.0) but is periodic along c: vector c is zero");
    cell[8] = 4.0;
    {
        const uint8_t periodic[3] = {1, 1, 1};
        s.cells = NULL;
        s.periodic = periodic;
        COMPUTE("periodic without a cell", BAD, ARGUMENT "periodic directions without a cell");
        s = water();
    }
    {
        int32_t excluded[2] = {0, 3};
        s.excluded_pairs = 1;
        COMPUTE("NULL excluded", BAD, ARGUMENT "excluded is a null pointer");
        s.excluded = excluded;
        COMPUTE("an excluded atom that is not there", BAD, ARGUMENT "excluded pair 0 joins atoms 0 and 3 of 3");
        excluded[1] = 0;
        COMPUTE("an atom excluded from itself", BAD, ARGUMENT "excluded pair 0 joins atoms 0 and 0 of 3");
        excluded[1] = -1;
        COMPUTE("a negative excluded atom", BAD, ARGUMENT "excluded pair 0 joins atoms 0 and -1 of 3");
        s = water();
    }
    require(energy == 7.0, "failing calls leave the results alone");
    {
        fsn_potential_info info = {0};
        check("fsn_potential_get_info(size 0)", fsn_potential_get_info(potential, &info), BAD,
              wrong_size("fsn_potential_info", "0", sizeof(fsn_potential_info)));
        check("fsn_potential_get_info(NULL)", fsn_potential_get_info(NULL, &info), BAD,
              ARGUMENT "potential is a null pointer");
    }
    require(fsn_potential_compute(potential, &s, &r) == FSN_SUCCESS, "the potential is as good as before");
    require(energy != 7.0, "and computes");
    fsn_potential_free(NULL);
}

// Two owned atoms and a ghost of the second.
static const size_t offsets[3] = {0, 2, 4};
static const int32_t entries[4] = {1, 2, 0, 2};
static const int32_t owners[3] = {0, 1, 1};

static fsn_neighbors list(void) {
    fsn_neighbors n = {sizeof n, 2, 3, offsets, entries, owners, 0};
    return n;
}

static int32_t fail(void *context, void *rows, size_t width, size_t element_size) {
    (void)rows;
    (void)width;
    (void)element_size;
    return *(int32_t *)context;
}

static int32_t fail_on_device(void *context, const fsn_device_rows *rows) {
    (void)rows;
    return *(int32_t *)context;
}

static int32_t copy_to_ghost(void *context, void *rows, size_t width, size_t element_size) {
    (void)context;
    memcpy((char *)rows + 2 * width * element_size, (char *)rows + width * element_size, width * element_size);
    return 0;
}

#define SET(name, status, text) check("fsn_potential_set_neighbors(" name ")", fsn_potential_set_neighbors(potential, &n), status, text)
#define DOMAIN(name, status, text) check("fsn_potential_compute_domain(" name ")", fsn_potential_compute_domain(potential, &d, &r), status, text)

static void topologies(fsn_potential *potential) {
    fsn_topology t = {.size = sizeof t, .atoms = ATOMS, .types = types};
    int32_t number = 7;
    check("fsn_potential_add_topology(NULL potential)", fsn_potential_add_topology(NULL, &t, &number), BAD,
          ARGUMENT "potential is a null pointer");
    check("fsn_potential_add_topology(NULL)", fsn_potential_add_topology(potential, NULL, &number), BAD,
          ARGUMENT "fsn_topology is a null pointer");
    check("fsn_potential_add_topology(NULL number)", fsn_potential_add_topology(potential, &t, NULL), BAD,
          ARGUMENT "number is a null pointer");
    check("fsn_potential_add_topology(no priors)", fsn_potential_add_topology(potential, &t, &number), FSN_UNSUPPORTED,
          "not supported: water.safetensors has no priors, or they are off: there is nothing to add a topology for");
    t.types = NULL;
    check("fsn_potential_add_topology(NULL types)", fsn_potential_add_topology(potential, &t, &number), BAD,
          ARGUMENT "types is a null pointer");
    t.types = types;
    t.lists = 1;
    check("fsn_potential_add_topology(NULL priors)", fsn_potential_add_topology(potential, &t, &number), BAD,
          ARGUMENT "priors is a null pointer");
    require(number == 7, "failing calls leave the number alone");
}

static void simulations(fsn_potential *potential) {
    double thermal = 0.02;
    fsn_structures s = water();
    fsn_settings g = {.size = sizeof g, .timestep = 0.0005, .friction = 1.0, .thermal_energies = &thermal};
    fsn_simulation *simulation = NULL;
    uint64_t steps = 7;
    fsn_state state = {.size = sizeof state, .steps = &steps};
    fsn_exchanges exchanges = {.size = sizeof exchanges};
    unsigned char bytes[4096];
    size_t length = 0;
#define MAKE(name, text) check("fsn_simulation_new(" name ")", fsn_simulation_new(potential, &s, &g, &simulation), BAD, ARGUMENT text)
    check("fsn_simulation_new(NULL potential)", fsn_simulation_new(NULL, &s, &g, &simulation), BAD,
          ARGUMENT "potential is a null pointer");
    check("fsn_simulation_new(NULL structures)", fsn_simulation_new(potential, NULL, &g, &simulation), BAD,
          ARGUMENT "fsn_structures is a null pointer");
    check("fsn_simulation_new(NULL settings)", fsn_simulation_new(potential, &s, NULL, &simulation), BAD,
          ARGUMENT "fsn_settings is a null pointer");
    check("fsn_simulation_new(NULL place)", fsn_simulation_new(potential, &s, &g, NULL), BAD,
          ARGUMENT "the place for the handle is a null pointer");
    g.thermal_energies = NULL;
    MAKE("NULL thermal_energies", "thermal_energies is a null pointer");
    g.thermal_energies = &thermal;
    g.integrator = 2;
    MAKE("integrator 2", "integrator is 2, not FSN_LANGEVIN or FSN_VERLET");
    g.integrator = FSN_LANGEVIN;
    g.timestep = -1.0;
    MAKE("timestep -1", "timestep is -1, must be positive and finite");
    g.timestep = 0.0005;
    g.largest_step = NAN;
    MAKE("largest_step NaN", "largest step is NaN, must be positive and finite");
    g.largest_step = 0.0;
    g.exchange_interval = 1;
    MAKE("one replica exchanges", "ladder 0 has only replica 0: exchange needs two");
    g.exchange_interval = 0;
    require(simulation == NULL, "failing calls leave the handle alone");

    require(fsn_simulation_new(potential, &s, &g, &simulation) == FSN_SUCCESS, "the settings are sound");
    check("fsn_simulation_run(NULL)", fsn_simulation_run(NULL, 1), BAD, ARGUMENT "simulation is a null pointer");
    require(fsn_simulation_run(simulation, 3) == FSN_SUCCESS, "a few steps are made");
    check("fsn_simulation_get_state(NULL)", fsn_simulation_get_state(simulation, NULL), BAD,
          ARGUMENT "fsn_state is a null pointer");
    state.energies = (double *)((char *)&energy + 1);
    check("fsn_simulation_get_state(not aligned)", fsn_simulation_get_state(simulation, &state), BAD,
          ARGUMENT "energies is not aligned to its type");
    require(steps == 7, "a failing call leaves outputs alone");
    state.energies = NULL;
    require(fsn_simulation_get_state(simulation, &state) == FSN_SUCCESS && steps == 3, "the steps are counted");
    check("fsn_simulation_get_exchanges(index 0 of 0)", fsn_simulation_get_exchanges(simulation, 0, &exchanges), BAD,
          ARGUMENT "there is no pair number 0, the simulation has 0");
    require(fsn_simulation_get_reason(NULL, 0) == NULL && fsn_simulation_get_reason(simulation, 1) == NULL,
            "there is no reason for what is not there");
    require(fsn_simulation_get_reason(simulation, 0)[0] == '\0', "a replica that moves has no reason not to");
    check("fsn_simulation_checkpoint(NULL length)", fsn_simulation_checkpoint(simulation, NULL, NULL), BAD,
          ARGUMENT "length is a null pointer");
    require(fsn_simulation_checkpoint(simulation, NULL, &length) == FSN_SUCCESS && length > 0 && length < sizeof bytes,
            "the length of a checkpoint is told");
    length = sizeof bytes;
    require(fsn_simulation_checkpoint(simulation, bytes, &length) == FSN_SUCCESS, "a checkpoint is written");
    require(fsn_simulation_restore(simulation, bytes, length) == FSN_SUCCESS, "a checkpoint is read");
    check("fsn_simulation_restore(NULL bytes)", fsn_simulation_restore(simulation, NULL, length), BAD,
          ARGUMENT "bytes is a null pointer");
    check("fsn_simulation_restore(cut off)", fsn_simulation_restore(simulation, bytes, length - 1), BAD,
          ARGUMENT "the checkpoint is damaged or cut off");
    check("fsn_simulation_restore(no checkpoint)", fsn_simulation_restore(simulation, bytes + 1, length - 1), BAD,
          ARGUMENT "not a checkpoint of a simulation");
    fsn_simulation_free(simulation);
    fsn_simulation_free(NULL);
}

static void domains(fsn_potential *potential) {
    fsn_neighbors n = list();
    fsn_results r = wanted();
    int32_t code = 42;
    fsn_domain d = {.size = sizeof d, .atoms = 3, .positions = positions, .types = types, .context = &code};
    int32_t changed[4] = {1, 3, 0, 2};
    size_t falling[3] = {0, 5, 4};
    r.term_energies = &energy;
    DOMAIN("term energies", FSN_UNSUPPORTED, "not supported: term_energies of a domain: priors are not evaluated there");
    r.term_energies = NULL;
    DOMAIN("no list", BAD, ARGUMENT "no neighbour list has been set");
    check("fsn_potential_set_neighbors(NULL potential)", fsn_potential_set_neighbors(NULL, &n), BAD,
          ARGUMENT "potential is a null pointer");
    check("fsn_potential_set_neighbors(NULL)", fsn_potential_set_neighbors(potential, NULL), BAD,
          ARGUMENT "fsn_neighbors is a null pointer");
    n.size = 0;
    SET("size 0", BAD, wrong_size("fsn_neighbors", "0", sizeof(fsn_neighbors)));
    n = list();
    n.offsets = NULL;
    SET("NULL offsets", BAD, ARGUMENT "offsets is a null pointer");
    n = list();
    n.neighbors = NULL;
    SET("NULL neighbors", BAD, ARGUMENT "neighbors is a null pointer");
    n = list();
    n.owned = (size_t)-1;
    SET("owned beyond memory", BAD, ARGUMENT "owned is too large");
    n = list();
    n.atoms = 1;
    SET("more owned atoms than atoms", BAD, ARGUMENT "2 owned atoms of 1 in all");
    n = list();
    n.base = 2;
    SET("base 2", BAD, ARGUMENT "base is 2, must be 0 or 1");
    n = list();
    n.base = 1;
    SET("counted from 0, base 1", BAD, ARGUMENT "neighbour 0 of atom 1 is not one of 3 atoms");
    n = list();
    n.neighbors = changed;
    SET("a neighbour that is not there", BAD, ARGUMENT "neighbour 3 of atom 0 is not one of 3 atoms");
    n = list();
    n.offsets = falling;
    SET("falling offsets", BAD, ARGUMENT "neighbour offsets falls after element 1");
    n = list();
    n.owners = changed;
    SET("an owned atom of another owner", BAD,
        ARGUMENT "owner 1 of atom 0 is another atom, but this one is owned");

    n = list();
    SET("a sound list", FSN_SUCCESS, "");
    check("fsn_potential_compute_domain(NULL potential)", fsn_potential_compute_domain(NULL, &d, &r), BAD,
          ARGUMENT "potential is a null pointer");
    check("fsn_potential_compute_domain(NULL domain)", fsn_potential_compute_domain(potential, NULL, &r), BAD,
          ARGUMENT "fsn_domain is a null pointer");
    d.atoms = 2;
    DOMAIN("another number of atoms", BAD, ARGUMENT "2 positions for a neighbour list of 3 atoms");
    d.atoms = 3;
    d.forward = fail;
    DOMAIN("forward fails though nothing is elsewhere", FSN_CALLBACK_ERROR,
           "callback failed: the forward exchange returned 42");
    n.owners = NULL;
    SET("no owners", FSN_SUCCESS, "");
    energy = 7.0;
    DOMAIN("forward fails", FSN_CALLBACK_ERROR, "callback failed: the forward exchange returned 42");
    d.forward = NULL;
    d.reverse = fail; // is never called
    DOMAIN("neither owners nor an exchange", BAD,
           ARGUMENT "1 ghost atoms, but neither their owners nor an exchange are given");
    d.forward_on_device = fail_on_device;
    DOMAIN("an exchange for a GPU alone", BAD,
           ARGUMENT "forward is null: forward_on_device serves potentials on a GPU alone");
    positions[6] = NAN;
    d.forward = copy_to_ghost;
    DOMAIN("a ghost at NaN", BAD, ARGUMENT "position of atom 2 is not finite (x = NaN)");
    positions[6] = -0.24;
    require(energy == 7.0, "failing calls leave the results alone");
    code = 0;
    DOMAIN("a sound domain", FSN_SUCCESS, "");
    require(energy != 7.0, "a sound domain computes");
}

static void neighbor_lists(void) {
    fsn_structures s = water();
    fsn_neighbor_list *found = NULL;
    fsn_pairs pairs = {.size = sizeof pairs};
    check("fsn_neighbor_list_new(NULL structures)", fsn_neighbor_list_new(NULL, 3.0, &found), BAD,
          ARGUMENT "fsn_structures is a null pointer");
    check("fsn_neighbor_list_new(NULL place)", fsn_neighbor_list_new(&s, 3.0, NULL), BAD,
          ARGUMENT "the place for the handle is a null pointer");
    check("fsn_neighbor_list_new(cutoff 0)", fsn_neighbor_list_new(&s, 0.0, &found), BAD,
          ARGUMENT "cutoff must be positive and finite, got 0.0");
    check("fsn_neighbor_list_new(cutoff NaN)", fsn_neighbor_list_new(&s, NAN, &found), BAD,
          ARGUMENT "cutoff must be positive and finite, got NaN");
    require(found == NULL, "a failing call leaves the handle alone");
    check("fsn_neighbor_list_get(NULL list)", fsn_neighbor_list_get(NULL, &pairs), BAD,
          ARGUMENT "list is a null pointer");
    require(fsn_neighbor_list_new(&s, 3.0, &found) == FSN_SUCCESS, "the list is sound");
    check("fsn_neighbor_list_get(NULL pairs)", fsn_neighbor_list_get(found, NULL), BAD,
          ARGUMENT "fsn_pairs is a null pointer");
    pairs.size = 3;
    check("fsn_neighbor_list_get(size 3)", fsn_neighbor_list_get(found, &pairs), BAD,
          wrong_size("fsn_pairs", "3", sizeof(fsn_pairs)));
    fsn_neighbor_list_free(found);
    fsn_neighbor_list_free(NULL);
}

int main(int argc, char **argv) {
    static unsigned char bytes[1 << 16];
    size_t length;
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    fsn_model *model = NULL;
    fsn_potential *potential = NULL;
    fsn_options o = {sizeof o, FSN_DEVICE_CPU, FSN_PRECISION_DOUBLE, FSN_FILTERS_EXACT, 1, 0.5, FSN_PRIORS_ON};
    if (!file) {
        fprintf(stderr, "usage: malformed_calls MODEL\n");
        return 2;
    }
    length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    require(fsn_last_error()[0] == '\0', "there is no error before the first");

    printf("call | status | text\n");
    models(argv[1], bytes, length);
    require(fsn_model_load_buffer("water.safetensors", bytes, length, &model) == FSN_SUCCESS, "the model is sound");
    options(model);
    require(fsn_potential_new(model, &o, &potential) == FSN_SUCCESS, "the options are sound");
    structures(potential);
    topologies(potential);
    simulations(potential);
    domains(potential);
    neighbor_lists();
    fsn_potential_free(potential);
    fsn_model_free(model);
    return failures != 0;
}
