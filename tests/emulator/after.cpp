// What stands behind the kernels when they are compiled for the processor: launching them.

static const Kernel* chosen;
static const System* arrays;
static int argument;

/// Runs a kernel. Returns what went wrong, or null.
extern "C" __attribute__((visibility("default"))) const char* emulate(const char* name, unsigned blocks_x, unsigned blocks_y, unsigned threads, unsigned shared,
    const System* system, int block, int falling)
{
    constexpr std::size_t GUARD = 4096;
    chosen = Kernel::first;
    while (chosen != nullptr && std::strcmp(chosen->name, name) != 0) {
        chosen = chosen->next;
    }
    if (chosen == nullptr) {
        return "there is no such kernel";
    }
    arrays = system;
    argument = block;
    emulator::body = [] { chosen->run(*arrays, argument); };
    gridDim = {blocks_x, blocks_y};
    blockDim = {threads, 1};
    while (emulator::fibres.size() < threads) {
        emulator::fibres.push_back(std::make_unique<emulator::Fibre>());
    }
    // Aligned as the GPU's is: at a whole line of banks.
    constexpr std::size_t LINE = 128;
    std::vector<double> memory((shared + GUARD + LINE) / sizeof(double) + 1);
    emulator::shared = reinterpret_cast<unsigned char*>((reinterpret_cast<std::uintptr_t>(memory.data()) + LINE - 1) / LINE * LINE);
    const unsigned long blocks = static_cast<unsigned long>(blocks_x) * blocks_y;
    for (unsigned long turn = 0; turn < blocks; ++turn) {
        const unsigned long at = falling ? blocks - 1 - turn : turn;
        blockIdx = {static_cast<unsigned>(at % blocks_x), static_cast<unsigned>(at / blocks_x)};
        std::memset(emulator::shared, 0xff, shared + GUARD - 16);
        emulator::block = {0, 0, threads};
        emulator::warps.assign((threads + 31) / 32, {});
        for (unsigned thread = 0; thread < threads; ++thread) {
            ++emulator::warps[thread / 32].group.members;
            emulator::fibres[thread]->done = false;
        }
        for (bool left = true; left;) {
            left = false;
            const unsigned long before = emulator::progress;
            for (unsigned next = 0; next < threads; ++next) {
                const unsigned thread = falling ? threads - 1 - next : next;
                if (!emulator::fibres[thread]->done) {
                    left = true;
                    threadIdx = {thread, 1};
                    emulator::resume(*emulator::fibres[thread]);
                }
            }
            if (left && emulator::progress == before) {
                return "some threads of a block wait at a barrier that the others do not reach";
            }
        }
        for (std::size_t byte = shared; byte < shared + GUARD - 16; ++byte) {
            if (emulator::shared[byte] != 0xff) {
                return "something was written behind the shared memory that was asked for";
            }
        }
    }
    return nullptr;
}
