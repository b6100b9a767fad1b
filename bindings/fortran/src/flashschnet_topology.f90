!> Molecules that a model's file does not have, by the terms of its priors.
module flashschnet_topology
   use, intrinsic :: iso_c_binding, only: c_char, c_int32_t, c_loc, c_ptr, c_size_t, c_sizeof
   use, intrinsic :: iso_fortran_env, only: int32
   use flashschnet_c, only: c_topology => fsn_topology
   use flashschnet_errors, only: c_text, check_shape
   use flashschnet_handle, only: handle
   implicit none
   private
   public :: converted_topology, describe_topology, fsn_terms

   !> The terms of one prior.
   type :: fsn_terms
      character(:), allocatable :: prior
      !> (atoms of a term, terms), from 1.
      integer(int32), allocatable :: atoms(:, :)
   end type

   type :: converted_list
      character(kind=c_char, len=:), allocatable :: name
      integer(c_int32_t), allocatable :: atoms(:, :)
   end type

   !> What the library spells differently. Must live as long as the struct that points to it.
   type :: converted_topology
      character(kind=c_char, len=:), allocatable :: name
      type(converted_list), allocatable :: lists(:)
      type(c_ptr), allocatable :: names(:), terms(:)
      integer(c_size_t), allocatable :: counts(:)
   end type

contains

   !> Fills a struct for the library; `potential` knows how many atoms the terms of its priors have.
   subroutine describe_topology(given, kept, potential, name, types, terms, text)
      type(c_topology), intent(inout) :: given
      type(converted_topology), intent(inout), target :: kept
      class(handle), intent(in) :: potential
      character(*), intent(in) :: name
      integer(int32), intent(in), contiguous, target :: types(:)
      type(fsn_terms), intent(in) :: terms(:)
      character(:), allocatable, intent(inout) :: text
      character(:), allocatable :: prior
      integer(int32) :: none(0, 0)
      integer :: k
      allocate (kept%lists(size(terms)), kept%names(size(terms)), kept%terms(size(terms)), kept%counts(size(terms)))
      do k = 1, size(terms)
         prior = ''
         if (allocated(terms(k)%prior)) prior = trim(terms(k)%prior)
         if (allocated(terms(k)%atoms)) then
            call convert(kept%lists(k), terms(k)%atoms)
         else
            call convert(kept%lists(k), none)
         end if
      end do
      do k = 1, size(terms)
         kept%names(k) = c_loc(kept%lists(k)%name)
         kept%terms(k) = c_loc(kept%lists(k)%atoms)
      end do
      kept%name = c_text(name)
      given%size = c_sizeof(given)
      given%name = c_loc(kept%name)
      given%atoms = size(types)
      given%types = c_loc(types)
      given%lists = size(terms)
      given%priors = c_loc(kept%names)
      given%counts = c_loc(kept%counts)
      given%terms = c_loc(kept%terms)

   contains

      subroutine convert(list, atoms)
         type(converted_list), intent(inout) :: list
         integer(int32), intent(in) :: atoms(:, :)
         integer :: width, count
         count = size(atoms, 2)
         width = potential%atoms_of_term(prior)
         ! The library refuses priors that it does not know.
         if (width > 0 .and. count > 0) &
            call check_shape(shape(atoms), [width, count], 'terms of '//prior, text)
         list%name = c_text(prior)
         allocate (list%atoms(max(1, size(atoms, 1)), max(1, count)), source=0_c_int32_t)
         if (count > 0) list%atoms(:size(atoms, 1), :count) = atoms - 1
         kept%counts(k) = count
      end subroutine
   end subroutine
end module
