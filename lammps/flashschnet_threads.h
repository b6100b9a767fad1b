/* -*- c++ -*-
   pair_style flashschnet: SchNet force fields for LAMMPS.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#ifndef FLASHSCHNET_THREADS_H
#define FLASHSCHNET_THREADS_H

#include <mpi.h>

namespace FlashSchNet {

/** This process's share of the cores of its machine, at least 1. All processes of `world` call it together.

    A core that several processes of `world` may run on is shared between them. `worlds` is how many such groups the
    program has (`-partition`); they may be on the same machine, which a single group cannot see. */
int share_of_cores(MPI_Comm world, int worlds);

}    // namespace FlashSchNet

#endif
