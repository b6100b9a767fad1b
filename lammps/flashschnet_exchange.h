/* -*- c++ -*-
   pair_style flashschnet: SchNet force fields for LAMMPS.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#ifndef FLASHSCHNET_EXCHANGE_H
#define FLASHSCHNET_EXCHANGE_H

#include <mpi.h>

#include <cstddef>
#include <vector>

namespace FlashSchNet {

/** An atom as the process that owns it counts them. */
struct Remote {
  int process, index;
};

inline bool operator<(const Remote &a, const Remote &b)
{
  return a.process != b.process ? a.process < b.process : a.index < b.index;
}
inline bool operator==(const Remote &a, const Remote &b)
{
  return a.process == b.process && a.index == b.index;
}

/** Moves rows of numbers from the processes that own atoms to those that have ghosts of them, each row once to each
    process. Made when the neighbor lists are, so that a message holds rows and nothing else. */
class Exchange {
 public:
  /** What this process wants from now on: rows of `wanted`, sorted, of other processes. All of `world` call it together. */
  void plan(MPI_Comm world, const std::vector<Remote> &wanted);

  /** Fills the rows of `wanted`, which lie one after the other at `ghosts`, from those of the owned atoms at `owned` of the
      others. Rows have `bytes` bytes, a multiple of four. Returns how many bytes this process sent. */
  size_t forward(const char *owned, char *ghosts, size_t bytes);

  /** Memory of the plan and its buffer. */
  size_t memory() const { return sizeof(int) * indices.capacity() + buffer.capacity(); }

 private:
  /** So many rows from or to another process. */
  struct Part {
    int process;
    size_t rows;
  };
  MPI_Comm world = MPI_COMM_NULL;
  std::vector<Part> from, to;
  std::vector<int> indices;    // of the rows that are sent
  std::vector<char> buffer;
};

}    // namespace FlashSchNet

#endif
