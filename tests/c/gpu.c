// A host whose arrays are on the GPU: computing on a stream of its own, in a CUDA graph, and what goes wrong. The argument is the
// file of `small_network`. Without a GPU it says what is missing, and checks what can be checked all the same.

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"

#define ATOMS 3

// The part of CUDA's driver that a host needs; the types are those of cuda.h.
typedef unsigned long long address;
typedef struct {
    int (*init)(unsigned);
    int (*retain)(void **context, int device);
    int (*set_current)(void *context);
    int (*allocate)(address *memory, size_t bytes);
    int (*release)(address memory);
    int (*to_device)(address to, const void *from, size_t bytes);
    int (*to_host)(void *to, address from, size_t bytes);
    int (*new_stream)(void **stream, unsigned flags);
    int (*synchronize)(void *stream);
    int (*begin_capture)(void *stream, int mode);
    int (*end_capture)(void *stream, void **graph);
    int (*instantiate)(void **ready, void *graph, unsigned long long flags);
    int (*launch)(void *ready, void *stream);
} driver;

static int load(driver *cuda) {
    static const char *names[] = {"cuInit",           "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent",
                                  "cuMemAlloc_v2",    "cuMemFree_v2",             "cuMemcpyHtoD_v2",
                                  "cuMemcpyDtoH_v2",  "cuStreamCreate",           "cuStreamSynchronize",
                                  "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags",
                                  "cuGraphLaunch"};
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        // ISO C has no cast from an object's pointer to a function's.
        void *found = library ? dlsym(library, names[i]) : NULL;
        if (!found)
            return 0;
        memcpy((char *)cuda + i * sizeof found, &found, sizeof found);
    }
    return 1;
}

static driver cuda;

static void *on_gpu(const void *from, size_t bytes) {
    address memory = 0;
    require(cuda.allocate(&memory, bytes) == 0, "there is memory");
    require(cuda.to_device(memory, from, bytes) == 0, "and it takes numbers");
    return (void *)(size_t)memory;
}

static void set(const void *memory, const void *from, size_t bytes) {
    require(cuda.to_device((address)(size_t)memory, from, bytes) == 0, "numbers go to the GPU");
}

static void get(void *to, const void *memory, size_t bytes) {
    require(cuda.to_host(to, (address)(size_t)memory, bytes) == 0, "numbers come from the GPU");
}

static void fails(fsn_status found, fsn_status expected, const char *text) {
    require(found == expected, text);
    if (!strstr(fsn_last_error(), text)) {
        printf("  \"%s\" does not say \"%s\"\n", fsn_last_error(), text);
        failures++;
    }
}

static fsn_potential *make(fsn_model *model, int32_t device) {
    fsn_options options = {.size = sizeof options};
    fsn_potential *potential = NULL;
    options.device = device;
    options.precision = FSN_PRECISION_DOUBLE;
    if (fsn_potential_new(model, &options, &potential))
        return NULL;
    return potential;
}

int main(int argc, char **argv) {
    double positions[3 * ATOMS] = {0.0, 0.0, 0.0, 0.96, 0.0, 0.0, -0.24, 0.93, 0.0};
    const double first[3 * ATOMS] = {0.0, 0.0, 0.0, 0.96, 0.0, 0.0, -0.24, 0.93, 0.0};
    const int32_t types[ATOMS] = {8, 1, 1}, unknown[ATOMS] = {8, 1, 77}, swapped[ATOMS] = {1, 8, 1};
    double energy, forces[3 * ATOMS], found_energy, found_forces[3 * ATOMS];
    fsn_structures host = {sizeof host, 1, NULL, ATOMS, positions, types, NULL, NULL, 0, NULL, NULL};
    fsn_structures here = host;
    fsn_results want = {sizeof want, &energy, NULL, forces, NULL, NULL, NULL};
    fsn_results there = {sizeof there, NULL, NULL, NULL, NULL, NULL, NULL};
    fsn_model *model = NULL;
    fsn_potential *cpu, *gpu, *other;
    void *context = NULL, *stream = NULL, *graph = NULL, *ready = NULL;
    int step, i;

    if (argc != 2 || fsn_model_load(argv[1], &model)) {
        fprintf(stderr, "%s\n", argc == 2 ? fsn_last_error() : "usage: gpu MODEL");
        return 2;
    }
    cpu = make(model, FSN_DEVICE_CPU);
    require(cpu != NULL, "there is a processor");
    fails(fsn_potential_enqueue(cpu, &host, &want, NULL), FSN_UNSUPPORTED, "the potential is not on a GPU");
    fails(fsn_potential_check(cpu, NULL), FSN_UNSUPPORTED, "the potential is not on a GPU");
    fails(fsn_potential_enqueue(NULL, &host, &want, NULL), FSN_INVALID_ARGUMENT, "potential is a null pointer");
    fails(fsn_potential_enqueue(cpu, NULL, &want, NULL), FSN_INVALID_ARGUMENT, "fsn_structures is a null pointer");
    fails(fsn_potential_enqueue(cpu, &host, NULL, NULL), FSN_INVALID_ARGUMENT, "fsn_results is a null pointer");
    fails(fsn_potential_check(NULL, NULL), FSN_INVALID_ARGUMENT, "potential is a null pointer");
    fsn_potential_free(cpu);
    gpu = make(model, FSN_DEVICE_CUDA);
    if (!gpu) {
        printf("skipped: computing on a GPU: %s\n", fsn_last_error());
        fsn_model_free(model);
        return failures != 0;
    }

    other = make(model, FSN_DEVICE_CUDA);
    fsn_model_free(model);
    require(other != NULL && load(&cuda), "there is a driver");
    if (failures || cuda.init(0) || cuda.retain(&context, 0) || cuda.set_current(context) || cuda.new_stream(&stream, 1))
        return 3;
    here.positions = on_gpu(positions, sizeof positions);
    here.types = on_gpu(types, sizeof types);
    there.energies = on_gpu(&energy, sizeof energy);
    there.forces = on_gpu(forces, sizeof forces);

    fails(fsn_potential_enqueue(gpu, &host, &want, stream), FSN_INVALID_ARGUMENT, "positions is not memory of a GPU");
    require(cuda.begin_capture(stream, 0) == 0, "the stream records");
    fails(fsn_potential_enqueue(gpu, &here, &there, stream), FSN_UNSUPPORTED, "a stream records what was computed before");
    require(cuda.end_capture(stream, &graph) == 0, "and is as it was");
    require(fsn_potential_enqueue(gpu, &here, &there, stream) == FSN_SUCCESS, "what is on the GPU is computed");
    require(fsn_potential_check(gpu, stream) == FSN_SUCCESS, "without fault");
    require(cuda.begin_capture(stream, 0) == 0, "the stream records again");
    require(fsn_potential_enqueue(gpu, &here, &there, stream) == FSN_SUCCESS, "a step");
    fails(fsn_potential_check(gpu, stream), FSN_INVALID_ARGUMENT, "cannot be waited for");
    require(cuda.end_capture(stream, &graph) == 0 && cuda.instantiate(&ready, graph, 0) == 0, "to the end");

    // Steps far beyond the skin, so that the list is found on the way.
    for (step = 0; step < 20; step++) {
        for (i = 0; i < 3 * ATOMS; i++)
            positions[i] = first[i] * (1.0 + 0.2 * step);
        require(fsn_potential_compute(other, &host, &want) == FSN_SUCCESS, "the host's arrays are computed");
        set(here.positions, positions, sizeof positions);
        require(cuda.launch(ready, stream) == 0 && cuda.synchronize(stream) == 0, "the graph runs");
        get(&found_energy, there.energies, sizeof found_energy);
        get(found_forces, there.forces, sizeof found_forces);
        require(found_energy == energy && memcmp(found_forces, forces, sizeof forces) == 0, "to the same bits");
    }
    require(fsn_potential_check(gpu, stream) == FSN_SUCCESS, "all steps were sound");
    // The host's arrays and those of the graph have nothing to do with each other.
    host.types = swapped;
    for (step = 0; step < 2; step++) {
        require(fsn_potential_compute(gpu, &host, &want) == FSN_SUCCESS, "other types are computed");
        found_energy = energy;
        require(fsn_potential_compute(other, &host, &want) == FSN_SUCCESS && found_energy == energy, "as they are");
        require(cuda.launch(ready, stream) == 0 && fsn_potential_check(gpu, stream) == FSN_SUCCESS, "beside the graph");
    }
    host.types = types;

    set(here.types, unknown, sizeof unknown);
    require(cuda.launch(ready, stream) == 0, "the graph runs on");
    fails(fsn_potential_check(gpu, stream), FSN_INVALID_ARGUMENT, "atom 2 has a type that the model does not know");
    get(&found_energy, there.energies, sizeof found_energy);
    require(isnan(found_energy), "what is not to be relied on is not a number");
    set(here.types, types, sizeof types);
    positions[4] = NAN;
    set(here.positions, positions, sizeof positions);
    require(cuda.launch(ready, stream) == 0, "and on");
    fails(fsn_potential_check(gpu, stream), FSN_INVALID_ARGUMENT, "position of atom 1 is not finite");
    set(here.positions, first, sizeof first);
    require(cuda.launch(ready, stream) == 0 && fsn_potential_check(gpu, stream) == FSN_SUCCESS, "it recovers");
    get(&found_energy, there.energies, sizeof found_energy);
    host.positions = first;
    require(fsn_potential_compute(other, &host, &want) == FSN_SUCCESS && found_energy == energy, "wholly");

    fsn_potential_free(gpu);
    fsn_potential_free(other);
    cuda.release((address)(size_t)here.positions);
    cuda.release((address)(size_t)here.types);
    cuda.release((address)(size_t)there.energies);
    cuda.release((address)(size_t)there.forces);
    printf("%s on the GPU\n", failures ? "wrong" : "computed");
    return failures != 0;
}
