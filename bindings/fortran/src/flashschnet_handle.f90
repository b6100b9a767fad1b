!> Objects of the library that several variables may stand for.
module flashschnet_handle
   use, intrinsic :: iso_c_binding, only: c_null_ptr, c_ptr
   implicit none
   private
   public :: handle, prior_shape

   !> A prior of a model, and the atoms of one of its terms.
   type :: prior_shape
      character(:), allocatable :: name
      integer :: atoms = 0
   end type

   abstract interface
      subroutine free_object(object) bind(c)
         import :: c_ptr
         type(c_ptr), value :: object
      end subroutine
   end interface

   type :: counted
      type(c_ptr) :: object = c_null_ptr
      procedure(free_object), pointer, nopass :: free => null()
      integer :: users = 1
      !> Owned atoms of a potential's domain, and columns of its exchange.
      integer :: owned = 0, exchanged = 0
      !> Priors of a potential's model.
      type(prior_shape), allocatable :: priors(:)
      !> Replicas, atoms and terms of a replica's energy of a simulation.
      integer :: sizes(3) = 0
   end type

   !> Assignment makes two handles of one object, which is freed with the last of them. Counting is not for threads: make
   !> and give up handles in one thread; computing may be done in any.
   type :: handle
      private
      type(counted), pointer :: shared => null()
   contains
      procedure, non_overridable :: get
      procedure, non_overridable :: set
      procedure, non_overridable :: owned
      procedure, non_overridable :: exchanged
      procedure, non_overridable :: set_domain
      procedure, non_overridable :: atoms_of_term
      procedure, non_overridable :: set_priors
      procedure, non_overridable :: sizes
      procedure, non_overridable :: set_sizes
      !> Gives the object up before the variable ends; the handle is then empty.
      procedure, non_overridable :: free
      procedure, private, non_overridable :: share
      generic :: assignment(=) => share
      final :: release
   end type

contains

   !> The object's pointer; null if there is none.
   function get(self) result(object)
      class(handle), intent(in) :: self
      type(c_ptr) :: object
      object = c_null_ptr
      if (associated(self%shared)) object = self%shared%object
   end function

   !> Takes over an object, instead of the one before.
   subroutine set(self, object, free)
      class(handle), intent(inout) :: self
      type(c_ptr), intent(in) :: object
      procedure(free_object) :: free
      call self%free()
      allocate (self%shared)
      self%shared%object = object
      self%shared%free => free
   end subroutine

   integer function owned(self)
      class(handle), intent(in) :: self
      owned = 0
      if (associated(self%shared)) owned = self%shared%owned
   end function

   integer function exchanged(self)
      class(handle), intent(in) :: self
      exchanged = 0
      if (associated(self%shared)) exchanged = self%shared%exchanged
   end function

   subroutine set_domain(self, owned, exchanged)
      class(handle), intent(in) :: self
      integer, intent(in) :: owned, exchanged
      if (.not. associated(self%shared)) return
      self%shared%owned = owned
      self%shared%exchanged = exchanged
   end subroutine

   !> Atoms of a term of a prior; 0 if there is no such prior.
   integer function atoms_of_term(self, name)
      class(handle), intent(in) :: self
      character(*), intent(in) :: name
      integer :: k
      atoms_of_term = 0
      if (.not. associated(self%shared)) return
      if (.not. allocated(self%shared%priors)) return
      do k = 1, size(self%shared%priors)
         if (self%shared%priors(k)%name == name) atoms_of_term = self%shared%priors(k)%atoms
      end do
   end function

   subroutine set_priors(self, priors)
      class(handle), intent(in) :: self
      type(prior_shape), intent(in) :: priors(:)
      integer :: k
      allocate (self%shared%priors(size(priors)))
      do k = 1, size(priors)
         self%shared%priors(k) = priors(k)
      end do
   end subroutine

   function sizes(self)
      class(handle), intent(in) :: self
      integer :: sizes(3)
      sizes = 0
      if (associated(self%shared)) sizes = self%shared%sizes
   end function

   subroutine set_sizes(self, sizes)
      class(handle), intent(in) :: self
      integer, intent(in) :: sizes(3)
      self%shared%sizes = sizes
   end subroutine

   subroutine free(self)
      class(handle), intent(inout) :: self
      if (.not. associated(self%shared)) return
      self%shared%users = self%shared%users - 1
      if (self%shared%users == 0) then
         call self%shared%free(self%shared%object)
         deallocate (self%shared)
      end if
      nullify (self%shared)
   end subroutine

   subroutine share(self, other)
      class(handle), intent(inout) :: self
      class(handle), intent(in) :: other
      ! The other's count first: both may be of the same object.
      if (associated(other%shared)) other%shared%users = other%shared%users + 1
      call self%free()
      self%shared => other%shared
   end subroutine

   impure elemental subroutine release(self)
      type(handle), intent(inout) :: self
      call self%free()
   end subroutine
end module
