!> The library's neighbour search by itself.
module flashschnet_neighbors
   use, intrinsic :: iso_c_binding, only: c_f_pointer, c_int, c_loc, c_null_ptr, c_ptr, c_size_t, c_sizeof
   use, intrinsic :: iso_fortran_env, only: int32, real64
   use flashschnet_c, only: fsn_neighbor_list_free, fsn_neighbor_list_get, fsn_neighbor_list_new, fsn_pairs, &
      fsn_structures, fsn_success
   use flashschnet_errors, only: check_shape, conclude, put
   use flashschnet_structures, only: converted, describe, set_periodic
   implicit none
   private
   public :: fsn_neighbor_list

   !> All directed pairs of atoms closer than a cutoff, periodic images among them.
   type :: fsn_neighbor_list
      !> (atoms + 1): pairs of atom i are `first(i)` to `first(i + 1) - 1`.
      integer, allocatable :: first(:)
      !> (pairs): the neighbour, from 1.
      integer(int32), allocatable :: neighbors(:)
      !> (3, pairs): from atom i to neighbour j is `positions(:, j) + matmul(cell, shifts(:, pair)) - positions(:, i)`.
      integer(int32), allocatable :: shifts(:, :)
   contains
      procedure :: find
   end type

contains

   !> Finds the pairs of one structure, in time linear in the number of atoms. On an error the list is as it was.
   subroutine find(self, positions, cutoff, cell, periodic, stat, errmsg)
      class(fsn_neighbor_list), intent(inout) :: self
      !> (3, atoms)
      real(real64), intent(in), contiguous, target :: positions(:, :)
      real(real64), intent(in) :: cutoff
      !> Lattice vectors, as columns; by default there is no cell.
      real(real64), intent(in), contiguous, target, optional :: cell(:, :)
      !> (3): which directions are periodic; by default all are, where there is a cell.
      logical, intent(in), optional :: periodic(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_structures) :: given
      type(converted), target :: kept
      type(c_ptr) :: list
      type(fsn_pairs) :: pairs
      integer(c_size_t), pointer :: offsets(:)
      integer(int32), pointer :: neighbors(:), shifts(:, :)
      character(:), allocatable :: text
      integer(c_int) :: status
      call describe(given, kept, [size(positions, 2)], positions, text)
      if (present(cell)) call put(given%cells, c_loc(cell), shape(cell), [3, 3], 'cell', text)
      if (present(periodic)) then
         call check_shape(shape(periodic), [3], 'periodic', text)
         call set_periodic(given, kept, periodic)
      end if
      list = c_null_ptr
      status = fsn_success
      if (.not. allocated(text)) status = fsn_neighbor_list_new(given, cutoff, list)
      if (.not. allocated(text) .and. status == fsn_success) then
         pairs%size = c_sizeof(pairs)
         status = fsn_neighbor_list_get(list, pairs)
         call c_f_pointer(pairs%offsets, offsets, [pairs%atoms + 1])
         call c_f_pointer(pairs%neighbors, neighbors, [pairs%pairs])
         call c_f_pointer(pairs%shifts, shifts, [3_c_size_t, pairs%pairs])
         self%first = int(offsets) + 1
         self%neighbors = neighbors + 1
         self%shifts = shifts
      end if
      call fsn_neighbor_list_free(list)
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine
end module
