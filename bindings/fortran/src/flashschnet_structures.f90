!> Structures as Fortran has them, as the library reads them.
module flashschnet_structures
   use, intrinsic :: iso_c_binding, only: c_int8_t, c_loc, c_size_t, c_sizeof
   use, intrinsic :: iso_fortran_env, only: int32, real64
   use flashschnet_c, only: fsn_structures
   use flashschnet_errors, only: check_shape, put
   implicit none
   private
   public :: converted, describe, describe_batch, set_excluded, set_periodic

   !> What the library counts or spells differently. Must live as long as the struct that points to it.
   type :: converted
      integer(c_size_t), allocatable :: offsets(:)
      integer(c_int8_t), allocatable :: periodic(:)
      integer(int32), allocatable :: excluded(:, :), topologies(:)
   end type

contains

   !> Begins a struct: where the atoms are, and how many belong to each structure.
   subroutine describe(given, kept, counts, positions, text)
      type(fsn_structures), intent(inout) :: given
      type(converted), intent(inout), target :: kept
      integer, intent(in) :: counts(:)
      real(real64), intent(in), contiguous, target :: positions(:, :)
      character(:), allocatable, intent(inout) :: text
      integer :: k
      given%size = c_sizeof(given)
      given%structures = size(counts)
      given%atoms = size(positions, 2)
      allocate (kept%offsets(size(counts) + 1))
      kept%offsets(1) = 0
      do k = 1, size(counts)
         kept%offsets(k + 1) = kept%offsets(k) + counts(k)
      end do
      given%offsets = c_loc(kept%offsets)
      call put(given%positions, c_loc(positions), shape(positions), [3, size(positions, 2)], 'positions', text)
   end subroutine

   !> Fills a struct with all that a batch has but cells: of contiguous arrays that are absent gfortran loads what is not there
   !> when they are passed on.
   subroutine describe_batch(given, kept, counts, positions, types, periodic, excluded, topologies, text)
      type(fsn_structures), intent(inout) :: given
      type(converted), intent(inout), target :: kept
      integer, intent(in) :: counts(:)
      real(real64), intent(in), contiguous, target :: positions(:, :)
      integer(int32), intent(in), contiguous, target :: types(:)
      logical, intent(in), optional :: periodic(:, :)
      integer(int32), intent(in), optional :: excluded(:, :)
      integer, intent(in), optional :: topologies(:)
      character(:), allocatable, intent(inout) :: text
      integer :: n
      n = size(counts)
      call describe(given, kept, counts, positions, text)
      call put(given%types, c_loc(types), shape(types), [size(positions, 2)], 'types', text)
      if (present(periodic)) then
         call check_shape(shape(periodic), [3, n], 'periodic', text)
         call set_periodic(given, kept, reshape(periodic, [size(periodic)]))
      end if
      if (present(excluded)) call set_excluded(given, kept, excluded, text)
      if (present(topologies)) then
         allocate (kept%topologies(size(topologies)))
         kept%topologies(:) = topologies - 1
         call put(given%topologies, c_loc(kept%topologies), shape(topologies), [n], 'topologies', text)
      end if
   end subroutine

   !> Says which directions are periodic, three a structure.
   subroutine set_periodic(given, kept, periodic)
      type(fsn_structures), intent(inout) :: given
      type(converted), intent(inout), target :: kept
      logical, intent(in) :: periodic(:)
      allocate (kept%periodic(size(periodic)))
      kept%periodic(:) = merge(1_c_int8_t, 0_c_int8_t, periodic)
      given%periodic = c_loc(kept%periodic)
   end subroutine

   !> Says which pairs are left out.
   subroutine set_excluded(given, kept, excluded, text)
      type(fsn_structures), intent(inout) :: given
      type(converted), intent(inout), target :: kept
      integer(int32), intent(in) :: excluded(:, :)
      character(:), allocatable, intent(inout) :: text
      integer :: pairs
      pairs = size(excluded, 2)
      call check_shape(shape(excluded), [2, pairs], 'excluded', text)
      if (allocated(text)) return
      ! Never without memory: a null pointer would mean that nothing is said of exclusions.
      allocate (kept%excluded(2, max(1, pairs)))
      kept%excluded(:, :pairs) = excluded - 1
      given%excluded_pairs = pairs
      given%excluded = c_loc(kept%excluded)
   end subroutine
end module
