!> What ../c/domains.c does, in Fortran: one periodic crystal on several MPI processes, split by hand into slabs along x:
!> mpiexec -n 2 domains [MODEL]
module slabs
   use flashschnet, only: fsn_exchange
   use mpi_f08, only: mpi_allreduce, mpi_comm_world, mpi_double_precision, mpi_in_place, mpi_sum
   use, intrinsic :: iso_fortran_env, only: real64
   implicit none
   private
   public :: slab

   !> Atoms of one process: owned ones, then ghosts; `whole` says which atom of the crystal each of them is.
   type, extends(fsn_exchange) :: slab
      integer :: owned = 0, crystal = 0
      integer, allocatable :: whole(:)
   contains
      procedure :: divide
      procedure :: collect
      procedure :: forward
   end type

contains

   !> Takes the atoms of a slab, then every image near one of them.
   subroutine divide(self, r, box, cutoff, rank, ranks, positions)
      class(slab), intent(inout) :: self
      real(real64), intent(in) :: r(:, :), box, cutoff
      integer, intent(in) :: rank, ranks
      real(real64), allocatable, intent(out) :: positions(:, :)
      real(real64) :: at(3)
      integer :: i, image
      self%crystal = size(r, 2)
      self%whole = pack([(i, i=1, self%crystal)], [((i - 1)*ranks/self%crystal == rank, i=1, self%crystal)])
      self%owned = size(self%whole)
      positions = r(:, self%whole)
      do image = 0, 26
         do i = 1, self%crystal
            at = r(:, i) + box*([image/9, mod(image/3, 3), mod(image, 3)] - 1)
            if (image == 13 .and. any(self%whole(:self%owned) == i)) cycle
            if (all(norm2(positions(:, :self%owned) - spread(at, 2, self%owned), 1) >= cutoff)) cycle
            self%whole = [self%whole, i]
            positions = reshape([positions, at], [3, size(self%whole)])
         end do
      end do
   end subroutine

   !> The sum over processes of columns `first` to `last`, by atoms of the crystal.
   function collect(self, rows, first, last) result(total)
      class(slab), intent(in) :: self
      real(real64), intent(in) :: rows(:, :)
      integer, intent(in) :: first, last
      real(real64), allocatable :: total(:, :)
      integer :: i
      allocate (total(size(rows, 1), self%crystal), source=0._real64)
      do i = first, last
         total(:, self%whole(i)) = total(:, self%whole(i)) + rows(:, i)
      end do
      call mpi_allreduce(mpi_in_place, total, size(total), mpi_double_precision, mpi_sum, mpi_comm_world)
   end function

   !> Owned atoms' features, and on the way back their gradients, go to their ghosts.
   subroutine forward(self, rows, stat)
      class(slab), intent(inout) :: self
      real(real64), intent(inout), contiguous :: rows(:, :)
      integer, intent(out) :: stat
      real(real64), allocatable :: total(:, :)
      allocate (total, source=self%collect(rows, 1, self%owned))
      rows(:, self%owned + 1:) = total(:, self%whole(self%owned + 1:))
      stat = 0
   end subroutine
end module

program domains
   use flashschnet
   use mpi_f08
   use slabs, only: slab
   use, intrinsic :: iso_fortran_env, only: int32, real64
   implicit none
   integer, parameter :: side = 6, atoms = side**3
   real(real64), parameter :: box = side*2.7324_real64
   real(real64) :: r(3, atoms), expected(3, atoms), cell(3, 3), virial(3, 3), whole_virial(3, 3), energy, whole_energy, off
   real(real64), allocatable :: positions(:, :), forces(:, :), total(:, :)
   integer(int32) :: types(atoms)
   integer, allocatable :: first(:), neighbors(:), near(:)
   integer :: i, k, c, rank, ranks, at(3)
   character(1000) :: path
   type(fsn_model) :: model
   type(fsn_model_info) :: info
   type(fsn_potential) :: potential
   type(slab) :: mine

   call mpi_init()
   call mpi_comm_rank(mpi_comm_world, rank)
   call mpi_comm_size(mpi_comm_world, ranks)
   path = 'examples/nacl/nacl.safetensors'
   if (command_argument_count() > 0) call get_command_argument(1, path)
   call model%load(path)
   call model%get_info(info)
   call potential%create(model, precision='double')
   cell = 0
   do c = 1, 3
      cell(c, c) = box
   end do
   do i = 1, atoms
      at = [(i - 1)/side**2, mod((i - 1)/side, side), mod(i - 1, side)]
      types(i) = merge(11, 17, mod(sum(at), 2) == 0)
      r(:, i) = box/side*at + [(sin(7.0_real64*(i - 1) + c)/10, c=0, 2)]
   end do

   call mine%divide(r, box, info%cutoff, rank, ranks, positions)
   ! Indices from 1: neighbours of atom i are neighbors(first(i):first(i + 1) - 1).
   allocate (first(mine%owned + 1), neighbors(0), forces(3, size(positions, 2)))
   first(1) = 1
   do i = 1, mine%owned
      near = pack([(k, k=1, size(positions, 2))], &
         [(k /= i .and. norm2(positions(:, k) - positions(:, i)) < info%cutoff, k=1, size(positions, 2))])
      first(i + 1) = first(i) + size(near)
      neighbors = [neighbors, near]
   end do
   call potential%set_neighbors(first, neighbors, size(positions, 2))
   call potential%compute_domain(positions, types(mine%whole), mine, energy, forces, virial)
   call mpi_allreduce(mpi_in_place, energy, 1, mpi_double_precision, mpi_sum, mpi_comm_world)
   call mpi_allreduce(mpi_in_place, virial, 9, mpi_double_precision, mpi_sum, mpi_comm_world)
   allocate (total, source=mine%collect(forces, 1, size(forces, 2)))
   print '(4(a, i0), a)', 'process ', rank, ' of ', ranks, ': ', mine%owned, ' atoms and ', size(forces, 2) - mine%owned, &
      ' ghosts'

   call potential%compute(r, types, cell, energy=whole_energy, forces=expected, virial=whole_virial)
   off = max(maxval(abs(total - expected)), maxval(abs(virial - whole_virial))/100)
   if (rank == 0) print '(a, f0.9, a, f0.9, a, es7.1, a)', 'energy ', energy, ', undivided ', whole_energy, &
      ', forces and virial off by ', off, ' at most'
   call mpi_finalize()
   if (off > 1e-11_real64 .or. abs(energy - whole_energy) > 1e-11_real64*abs(energy)) error stop 1
end program
