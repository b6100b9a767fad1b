/* pair_style flashschnet: SchNet force fields for LAMMPS.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE    // sched_getaffinity
#endif

#include "flashschnet_threads.h"

#include <algorithm>
#include <cstdlib>
#include <sched.h>
#include <vector>

namespace {

/** How many processes the launcher started on this machine, 0 if it does not say. */
int launched_here()
{
  for (const char *name : {"MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE"}) {
    const char *value = getenv(name);
    if (value && atoi(value) > 0) return atoi(value);
  }
  return 0;
}

}    // namespace

int FlashSchNet::share_of_cores(MPI_Comm world, int worlds)
{
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof mine, &mine) != 0) CPU_SET(0, &mine);
  std::vector<int> sharers(CPU_SETSIZE);
  for (int core = 0; core < CPU_SETSIZE; core++) sharers[core] = CPU_ISSET(core, &mine) ? 1 : 0;

  int here = 1;
// The serial stand-in for MPI that LAMMPS ships knows no machines, and has one process.
#if defined(MPI_VERSION) && MPI_VERSION >= 3
  MPI_Comm machine;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
  MPI_Comm_size(machine, &here);
  MPI_Allreduce(MPI_IN_PLACE, sharers.data(), CPU_SETSIZE, MPI_INT, MPI_SUM, machine);
  MPI_Comm_free(&machine);
#else
  (void) world;
#endif

  double share = 0.0;
  bool bound = false;    // to cores of its own, or of a few
  for (int core = 0; core < CPU_SETSIZE; core++) {
    if (CPU_ISSET(core, &mine)) share += 1.0 / sharers[core];
    if (sharers[core] != 0 && sharers[core] != here) bound = true;
  }
  if (worlds > 1 && !bound) {
    const int launched = launched_here();
    share *= static_cast<double>(here) / (launched ? std::max(here, launched) : here * worlds);
  }
  // Sums of thirds and the like fall short of a whole number by rounding.
  return std::max(1, static_cast<int>(share + 1e-9));
}
