/* pair_style flashschnet: SchNet force fields for LAMMPS.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#include "flashschnet_exchange.h"

#include <cstring>

using FlashSchNet::Exchange;

namespace {

const int TAG = 0;
// Rows are counted in numbers of four bytes, which keeps counts of large messages in an int.
const size_t UNIT = sizeof(int);

/** Sends and receives that are under way. */
class Pending {
 public:
  void receive(MPI_Comm world, int process, void *data, size_t bytes)
  {
    requests.emplace_back();
    MPI_Irecv(data, static_cast<int>(bytes / UNIT), MPI_INT, process, TAG, world, &requests.back());
  }
  void send(MPI_Comm world, int process, void *data, size_t bytes)
  {
    requests.emplace_back();
    MPI_Isend(data, static_cast<int>(bytes / UNIT), MPI_INT, process, TAG, world, &requests.back());
  }
  void wait()
  {
    std::vector<MPI_Status> statuses(requests.size());
    if (!requests.empty()) MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses.data());
  }

 private:
  std::vector<MPI_Request> requests;
};

}    // namespace

void Exchange::plan(MPI_Comm communicator, const std::vector<Remote> &wanted)
{
  world = communicator;
  int processes;
  MPI_Comm_size(world, &processes);
  std::vector<int> wants(processes, 0), gives(processes, 0), numbers;
  for (const Remote &atom : wanted) {
    wants[atom.process]++;
    numbers.push_back(atom.index);
  }
  MPI_Alltoall(wants.data(), 1, MPI_INT, gives.data(), 1, MPI_INT, world);

  from.clear();
  to.clear();
  size_t given = 0;
  for (int process = 0; process < processes; process++) {
    if (wants[process]) from.push_back({process, static_cast<size_t>(wants[process])});
    if (gives[process]) to.push_back({process, static_cast<size_t>(gives[process])});
    given += gives[process];
  }
  indices.resize(given);
  Pending pending;
  size_t first = 0;
  for (const Part &part : to) {
    pending.receive(world, part.process, indices.data() + first, part.rows * sizeof(int));
    first += part.rows;
  }
  first = 0;
  for (const Part &part : from) {
    pending.send(world, part.process, numbers.data() + first, part.rows * sizeof(int));
    first += part.rows;
  }
  pending.wait();
}

size_t Exchange::forward(const char *owned, char *ghosts, size_t bytes)
{
  Pending pending;
  for (const Part &part : from) {
    pending.receive(world, part.process, ghosts, part.rows * bytes);
    ghosts += part.rows * bytes;
  }
  buffer.resize(indices.size() * bytes);
  char *next = buffer.data();
  const int *index = indices.data();
  for (const Part &part : to) {
    char *const start = next;
    for (size_t row = 0; row < part.rows; row++) {
      memcpy(next, owned + static_cast<size_t>(*index++) * bytes, bytes);
      next += bytes;
    }
    pending.send(world, part.process, start, part.rows * bytes);
  }
  pending.wait();
  return buffer.size();
}
