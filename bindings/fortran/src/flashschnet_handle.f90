!> Objects of the library that several variables may stand for.
module flashschnet_handle
   use, intrinsic :: iso_c_binding, only: c_null_ptr, c_ptr
   implicit none
   private
   public :: handle

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
